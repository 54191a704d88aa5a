package apiserver

import (
	"fmt"
	"math/bits"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// Where the time of requests goes is found out from one request in timedEvery: it passes the same chain with a clock at each step. The
// others pass the chain without.
const timedEvery = 64

// timing is how long one step took by itself, without what it handed the request on to.
type timing struct {
	name  string
	count atomic.Int64
	total atomic.Int64
	// by is how many took less than 2^i nanoseconds, and not less than half of that.
	by [44]atomic.Int64
}

func (t *timing) add(d time.Duration) {
	t.count.Add(1)
	t.total.Add(int64(d))
	t.by[min(bits.Len64(uint64(max(d, 0))), len(t.by)-1)].Add(1)
}

// percentile is the time in which that part of all took no longer: to a factor of two, from above.
func (t *timing) percentile(p float64) time.Duration {
	left := int64(p * float64(t.count.Load()))
	for i := range t.by {
		if left -= t.by[i].Load(); left < 0 {
			return time.Duration(1) << i
		}
	}
	return 0
}

// link makes one handler of steps and what comes last. If timings are given, one for each step and one for the last, they are kept.
func link(steps []step, last handler, timings []*timing) handler {
	h := last
	if timings != nil {
		h = timedLast(last, timings[len(steps)])
	}
	for i := len(steps) - 1; i >= 0; i-- {
		next, this := h, steps[i]
		if timings == nil {
			h = func(c *call) error { return this(c, next) }
			continue
		}
		t := timings[i]
		h = func(c *call) error {
			began, inside := time.Now(), time.Duration(0)
			defer func() { t.add(time.Since(began) - inside) }()
			return this(c, func(c *call) error {
				began := time.Now()
				defer func() { inside = time.Since(began) }()
				return next(c)
			})
		}
	}
	return h
}

func timedLast(last handler, t *timing) handler {
	return func(c *call) error {
		if c.t.longRunning() {
			return last(c) // its time is its client's
		}
		began := time.Now()
		defer func() { t.add(time.Since(began)) }()
		return last(c)
	}
}

// timingsOf makes a timing for each step and for what comes last.
func timingsOf(steps []step) []*timing {
	var out []*timing
	for _, s := range steps {
		name := runtime.FuncForPC(reflect.ValueOf(s).Pointer()).Name()
		out = append(out, &timing{name: strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "-fm")})
	}
	return append(out, &timing{name: "the verb"})
}

// chained returns the http.Handler that runs last behind all steps.
func (s *Server) chained(last handler) http.Handler {
	steps := s.steps()
	s.timings = timingsOf(steps)
	plain, timed := link(steps, last, nil), link(steps, last, s.timings)
	var count atomic.Uint64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deepen()
		c, h := s.newCall(w, r), plain
		if count.Add(1)%timedEvery == 0 {
			h = timed
		}
		if err := h(c); err != nil {
			s.fail(c, err)
		}
	})
}

// timingRows is the table of the steps.
func (s *Server) timingRows() [][]string {
	var rows [][]string
	for _, t := range s.timings {
		n := t.count.Load()
		mean := time.Duration(0)
		if n > 0 {
			mean = time.Duration(t.total.Load() / n)
		}
		rows = append(rows, []string{t.name, fmt.Sprint(n), mean.String(),
			t.percentile(.5).String(), t.percentile(.9).String(), t.percentile(.99).String(), t.percentile(1).String()})
	}
	return rows
}
