package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// lists measures lists of all pods, each with the newest state, against the same bytes sent from memory. Neither is compressed.
func lists(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "list", func(api, limit *server) (results []Result, err error) {
		l := &listing{bench: b, api: api, limit: limit, n: b.scaled(5000, 1000)}
		if err := b.fill(ctx, api, l.n); err != nil {
			return nil, err
		}
		for _, measure := range []func(context.Context) (Result, error){l.json, l.protobuf, l.byLabel, l.inPages, l.watchStart} {
			r, err := measure(ctx)
			if err != nil {
				return nil, err
			}
			results = append(results, r)
		}
		return results, nil
	})
}

// listing is the row while it is measured.
type listing struct {
	*bench
	api, limit *server
	n          int // pods there are
}

// pages is how many a list is read in, where it is read in pages.
const pages = 10

// fillers is how many writers make what is only needed.
const fillers = 64

// fill makes n pods, each tenth of another team.
func (b *bench) fill(ctx context.Context, api *server, n int) error {
	b.progress("making %s pods", grouped(int64(n)))
	_, err := drive(ctx, fillers, pieces(n), func(ctx context.Context, i int) error {
		text := pod("p", i)
		if i%10 == 0 {
			text = paymentsPod("p", i)
		}
		_, err := api.size(ctx, http.MethodPost, podsPath, jsonType, text)
		return err
	})
	return err
}

func (l *listing) json(ctx context.Context) (Result, error) {
	r, err := l.whole(ctx, "JSON", podsPath, jsonType)
	return r.aiming(Aim{AtMost: 1.3}), err
}

func (l *listing) protobuf(ctx context.Context) (Result, error) {
	return l.whole(ctx, "protobuf", podsPath, protobufType)
}

// byLabel is a list of the tenth that a selector leaves.
func (l *listing) byLabel(ctx context.Context) (Result, error) {
	return l.whole(ctx, "JSON, a tenth by label", podsPath+"?labelSelector=team%3Dpayments", jsonType)
}

// whole measures what one request lists.
func (l *listing) whole(ctx context.Context, name, path, accept string) (Result, error) {
	answer, err := l.api.get(ctx, path, accept)
	if err != nil {
		return Result{}, err
	}
	return l.compared(ctx, "list", name, accept, fetched(l.api, accept, path), answer)
}

// inPages is the same list as by a client that asks for a part at a time. Its tokens stay good, because nothing is written
// meanwhile; so the answers need not be read for them each time.
func (l *listing) inPages(ctx context.Context) (Result, error) {
	first := fmt.Sprintf("%s?limit=%d", podsPath, l.n/pages)
	var paths []string
	var answers [][]byte
	for path := first; path != ""; {
		answer, err := l.api.get(ctx, path, jsonType)
		if err != nil {
			return Result{}, err
		}
		paths, answers = append(paths, path), append(answers, answer)
		token, err := continuation(answer)
		if err != nil {
			return Result{}, err
		}
		if path = ""; token != "" {
			path = first + "&continue=" + url.QueryEscape(token)
		}
	}
	if len(paths) != pages {
		return Result{}, fmt.Errorf("the list came in %d pages, not in %d", len(paths), pages)
	}
	return l.compared(ctx, "list", fmt.Sprintf("JSON in %d pages", pages), jsonType, fetched(l.api, jsonType, paths...), answers...)
}

// continuation is the token by which a list goes on, empty if it does not.
func continuation(b []byte) (string, error) {
	var list struct {
		Metadata *struct{ Continue string }
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return "", fmt.Errorf("read a list: %w", err)
	}
	if list.Metadata == nil {
		return "", errors.New("a list has no metadata")
	}
	return list.Metadata.Continue, nil
}

// compared measures figure against the answers that it gets, sent from memory.
func (l *listing) compared(ctx context.Context, what, name, accept string, figure sample, answers ...[]byte) (Result, error) {
	name = fmt.Sprintf("%s %s %s", what, grouped(int64(l.n)), name)
	l.progress("%s", name)
	paths, bytes := make([]string, len(answers)), 0
	for i, answer := range answers {
		paths[i] = fmt.Sprintf("/kept/%d", i)
		bytes += len(answer)
		if _, err := l.limit.size(ctx, http.MethodPut, paths[i], "", answer); err != nil {
			return Result{}, err
		}
	}
	stop := l.profile(ctx, l.api, name, 2*time.Second)
	defer stop()
	got, err := compare(ctx, l.scaled(15, 5), figure, fetched(l.limit, accept, paths...))
	if err != nil {
		return Result{}, err
	}
	return Result{Row: name, Figure: Quantity{got.figure, "ms"}}.
		against(Quantity{got.limit, "ms"}, "static", got.ratio).detailed("%s MiB", digits(mebibytes(int64(bytes)))), nil
}

// fetched is the time of requests and their answers, one after the other, in milliseconds.
func fetched(s *server, accept string, paths ...string) sample {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		for _, path := range paths {
			if _, err := s.size(ctx, http.MethodGet, path, accept, nil); err != nil {
				return 0, err
			}
		}
		return milliseconds(time.Since(start)), nil
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
