package fairness

import (
	"sync"
	"time"
)

// maxRetryAfter is the longest that a client is sent away for, in seconds.
const maxRetryAfter = 32

// retry finds out how long those who are turned away should stay away: twice as long when many were turned away in the last such
// time, a second less when few were. It follows the way of TCP, and changes its mind at most once a second.
type retry struct {
	mu     sync.Mutex
	after  int64
	second int64
	raised int64
	counts [2 * maxRetryAfter]int64 // by second, the last ones
}

// refused notes one more, and returns the seconds to tell it.
func (r *retry) refused(now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = max(r.after, 1)
	if second := now.Unix(); second > r.second {
		r.advance(second)
	}
	r.counts[r.second%int64(len(r.counts))]++
	return r.after
}

func (r *retry) advance(second int64) {
	n := int64(len(r.counts))
	for gone := max(r.second+1, second-n+1); gone <= second; gone++ {
		r.counts[gone%n] = 0
	}
	r.second = second
	lately := int64(0)
	for s := second - r.after; s < second; s++ {
		lately += r.counts[((s%n)+n)%n]
	}
	switch {
	case lately >= 3*r.after && second-r.raised >= r.after:
		r.after, r.raised = min(2*r.after, maxRetryAfter), second
	case lately < r.after && r.after > 1:
		r.after--
	}
}
