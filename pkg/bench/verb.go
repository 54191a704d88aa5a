package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// callers is how many ask for a verb at once.
const callers = 64

// verb is a request that 64 callers make again and again. Its limit is an echo that reads and answers as many bytes.
type verb struct {
	name       string
	api, limit *server
	sent       int // bytes of a request's body
	// do makes the n-th request, no two the same n, and returns the size of the answer.
	do func(ctx context.Context, n int) (int64, error)
	// stock makes what the requests of one turn use up, and returns how many that is for. nil: they use up nothing.
	stock func(ctx context.Context) (int, error)
	aim   *Aim
	// durable asks for the limit of an etcd behind the echo too.
	durable bool
}

// verb measures.
func (b *bench) verb(ctx context.Context, v verb) ([]Result, error) {
	span := time.Duration(b.scaled(1000, 300)) * time.Millisecond
	times := b.scaled(3, 2)
	answer, err := v.do(ctx, 0)
	if err != nil {
		return nil, err
	}
	var asked, echoed, durable tally
	var last atomic.Int64
	var kept []float64
	round, body := 0, bytes.Repeat([]byte{' '}, v.sent)
	answered := func(ctx context.Context, t *tally, path string) (float64, error) {
		path = fmt.Sprintf("%s?size=%d", path, answer)
		return t.measured(ctx, v.limit, callers, lasting(span), func(ctx context.Context, _ int) error {
			_, err := v.limit.size(ctx, http.MethodPost, path, jsonType, body)
			return err
		})
	}
	wait := b.profile(ctx, v.api, v.name, span*time.Duration(2*times))
	defer wait()
	got, err := compare(ctx, times, func(ctx context.Context) (float64, error) {
		round++
		b.progress("%s ×%d: %d of %d", v.name, callers, round, times)
		more, err := v.turn(ctx, span)
		if err != nil {
			return 0, err
		}
		return asked.measured(ctx, v.api, callers, more, func(ctx context.Context, _ int) error {
			_, err := v.do(ctx, int(last.Add(1)))
			return err
		})
	}, func(ctx context.Context) (float64, error) {
		if v.durable {
			rate, err := answered(ctx, &durable, "/durable")
			if err != nil {
				return 0, err
			}
			kept = append(kept, rate)
		}
		return answered(ctx, &echoed, "/echo")
	})
	if err != nil {
		return nil, err
	}
	r := v.result(got, &asked, &echoed, answer)
	if !v.durable {
		return []Result{r}, nil
	}
	beside := Result{Row: r.Row, Figure: r.Figure}.against(Quantity{median(kept), "/s"}, "echo + etcd", 0).
		detailed("CPU %s ms each", digits(durable.each()))
	return []Result{r, beside}, nil
}

// turn is how many requests are made before the echo has its turn: as many as fit into span, or as there is stock for.
func (v *verb) turn(ctx context.Context, span time.Duration) (until, error) {
	if v.stock == nil {
		return lasting(span), nil
	}
	n, err := v.stock(ctx)
	return pieces(n), err
}

func (v *verb) result(got turns, asked, echoed *tally, answer int64) Result {
	r := Result{Row: fmt.Sprintf("%s ×%d", v.name, callers), Figure: Quantity{got.figure, "/s"}}.
		against(Quantity{got.limit, "/s"}, "echo", got.ratio).
		detailed("%s; %d bytes, answered with %d", toldBeside(asked, echoed), v.sent, answer)
	if v.aim != nil {
		r = r.aiming(*v.aim)
	}
	return r
}

// tally is what requests of one kind came to over all turns.
type tally struct {
	waits []time.Duration
	cpu   time.Duration // of the server
}

// each is the server's processor time for one, in milliseconds: unlike a rate, a busy machine hardly distorts it.
func (t *tally) each() float64 { return milliseconds(t.cpu) / float64(max(1, len(t.waits))) }

// measured drives do and adds what it came to; it returns the rate.
func (t *tally) measured(ctx context.Context, s *server, writers int, more until, do func(context.Context, int) error) (float64, error) {
	before, err := usageOf(s.pid())
	if err != nil {
		return 0, err
	}
	l, err := drive(ctx, writers, more, do)
	if err != nil {
		return 0, err
	}
	after, err := usageOf(s.pid())
	t.cpu += after.cpu - before.cpu
	t.waits = append(t.waits, l.waits...)
	return l.rate(), err
}

// toldBeside tells how long each request took, and what it cost the server beside what it cost the echo.
func toldBeside(t, echo *tally) string {
	return fmt.Sprintf("p50 %s ms, p99 %s ms, CPU %s ms each (echo %s)", digits(milliseconds(median(t.waits))),
		digits(milliseconds(quantile(t.waits, 0.99))), digits(t.each()), digits(echo.each()))
}
