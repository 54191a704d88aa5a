package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// lists measures lists of all pods, each with the newest state, against the same bytes sent from memory. Neither is compressed.
func lists(ctx context.Context, b *bench) (results []Result, err error) {
	api, err := b.startAPIServer(ctx, "list-api")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.stop()) }()
	limit, err := b.startLimit(ctx, "list-limit")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, limit.stop()) }()
	n := b.scaled(5000, 1000)
	if err := b.fill(ctx, api, n); err != nil {
		return nil, err
	}
	for name, accept := range inOrder("JSON", jsonType, "protobuf", protobufType) {
		r, err := b.list(ctx, api, limit, n, name, accept)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

// inOrder yields pairs.
func inOrder(pairs ...string) func(func(a, b string) bool) {
	return func(yield func(a, b string) bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if !yield(pairs[i], pairs[i+1]) {
				return
			}
		}
	}
}

// fillers is how many writers make what is only needed.
const fillers = 64

// fill makes n pods.
func (b *bench) fill(ctx context.Context, api *server, n int) error {
	b.progress("making %s pods", grouped(int64(n)))
	_, err := drive(ctx, fillers, pieces(n), func(ctx context.Context, i int) error {
		_, err := api.createPod(ctx, "p", i)
		return err
	})
	return err
}

func (b *bench) list(ctx context.Context, api, limit *server, n int, name, accept string) (Result, error) {
	b.progress("list of %s pods in %s", grouped(int64(n)), name)
	whole, err := api.get(ctx, podsPath, accept)
	if err != nil {
		return Result{}, err
	}
	if _, err := limit.size(ctx, http.MethodPut, "/kept/list", "", whole); err != nil {
		return Result{}, err
	}
	stop := b.profile(ctx, api, "list-"+name, 2*time.Second)
	defer stop()
	got, err := compare(ctx, b.scaled(15, 5), once(api, podsPath, accept), once(limit, "/kept/list", accept))
	if err != nil {
		return Result{}, err
	}
	r := Result{Row: fmt.Sprintf("list %s %s", grouped(int64(n)), name), Figure: Quantity{got.figure, "ms"}}.
		against(Quantity{got.limit, "ms"}, "static", got.ratio).detailed("%s MiB", digits(mebibytes(int64(len(whole)))))
	if accept == jsonType {
		r = r.aiming(Aim{AtMost: 2})
	}
	return r, nil
}

// once is the time of one request and its answer, in milliseconds.
func once(s *server, path, accept string) sample {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		_, err := s.size(ctx, http.MethodGet, path, accept, nil)
		return milliseconds(time.Since(start)), err
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
