package bench

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is what workers got done.
type load struct {
	done  int
	took  time.Duration
	waits []time.Duration // of each piece of work
}

// rate is how much was done in a second.
func (l load) rate() float64 { return float64(l.done) / l.took.Seconds() }

// until tells a worker whether to do the i-th piece.
type until func(i int) bool

// pieces are n of them.
func pieces(n int) until { return func(i int) bool { return i < n } }

// lasting is as many as can be begun in d.
func lasting(d time.Duration) until {
	end := time.Now().Add(d)
	return func(int) bool { return time.Now().Before(end) }
}

// drive lets workers do pieces of work, each with its own number, until there is no more to do or one fails.
func drive(ctx context.Context, workers int, more until, do func(ctx context.Context, i int) error) (load, error) {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	waits := make([][]time.Duration, workers)
	start := time.Now()
	for w := range workers {
		group.Go(func() error {
			for {
				i := int(next.Add(1) - 1)
				if !more(i) || ctx.Err() != nil {
					return ctx.Err()
				}
				begun := time.Now()
				if err := do(ctx, i); err != nil {
					return err
				}
				waits[w] = append(waits[w], time.Since(begun))
			}
		})
	}
	err := group.Wait()
	l := load{took: time.Since(start), waits: slices.Concat(waits...)}
	l.done = len(l.waits)
	return l, err
}

// quantile returns the least value that a share q of all is not above (the nearest rank); zero of nothing.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(q*float64(len(sorted)) + 0.999999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// milliseconds is a duration as results show it.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// sample measures once.
type sample func(context.Context) (float64, error)

// turns is the outcome of compare.
type turns struct{ figure, limit, ratio float64 }

// compare measures figure and limit in turns, and returns the medians of both and of their ratios.
func compare(ctx context.Context, times int, figure, limit sample) (turns, error) {
	var figures, limits, ratios []float64
	for range times {
		f, err := figure(ctx)
		if err != nil {
			return turns{}, err
		}
		l, err := limit(ctx)
		if err != nil {
			return turns{}, err
		}
		figures, limits, ratios = append(figures, f), append(limits, l), append(ratios, f/l)
	}
	return turns{median(figures), median(limits), median(ratios)}, nil
}
