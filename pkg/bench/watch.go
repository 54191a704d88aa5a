package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	watchers    = 100
	watchWriter = 64 // as many as the other rows have: watchers wait for nothing but their own events
)

// fanOut measures how many events reach 100 watchers in a second, each on a TLS connection of its own, while pods are created; against
// writing as many events of the same size to as many connections. The figure includes the creates, which is how events arise.
func fanOut(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "watch", func(api, limit *server) ([]Result, error) {
		w := &watching{bench: b, api: api, limit: limit, events: b.scaled(2000, 100)}
		return w.measure(ctx)
	})
}

func (w *watching) measure(ctx context.Context) ([]Result, error) {
	event, err := w.oneEvent(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.limit.size(ctx, http.MethodPut, "/kept/event", "", event); err != nil {
		return nil, err
	}
	stop := w.profile(ctx, w.api, "watch", 5*time.Second)
	defer stop()
	got, err := compare(ctx, w.scaled(3, 1), w.live, w.written)
	if err != nil {
		return nil, err
	}
	return []Result{
		Result{Row: fmt.Sprintf("watch ×%d", watchers), Figure: Quantity{got.figure, "events/s"}}.
			against(Quantity{got.limit, "events/s"}, "written", got.ratio).
			aiming(Aim{AtLeast: 0.7, OrFigure: 200_000}).
			detailed("%d creates to each of %d, in JSON of %d bytes", w.events, watchers, len(event)),
	}, nil
}

// watching is the row while it is measured.
type watching struct {
	*bench
	api, limit *server
	events     int // to each watcher
	round      int
}

// oneEvent is what a watcher is sent for a create.
func (w *watching) oneEvent(ctx context.Context) ([]byte, error) {
	if _, err := w.api.createPod(ctx, "first", 0); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := w.api.send(ctx, w.api.http, http.MethodGet, podsPath+"?watch=true&resourceVersion=0", jsonType, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return firstLines(resp.Body, 1)
}

// firstLines are the first n lines of r, their ends included.
func firstLines(r io.Reader, n int) ([]byte, error) {
	var lines []byte
	from := bufio.NewReader(r)
	for i := range n {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("the stream ended within event %d of %d: %w", i+1, n, err)
		}
		lines = append(lines, line...)
	}
	return lines, nil
}

// live is the rate at which creates reach all watchers of the API server.
func (w *watching) live(ctx context.Context) (float64, error) {
	w.round++
	w.progress("watch ×%d: %d creates", watchers, w.events)
	rev, err := w.revision(ctx)
	if err != nil {
		return 0, err
	}
	return w.deliver(ctx, w.api, podsPath+"?watch=true&resourceVersion="+rev, func(ctx context.Context) error {
		_, err := drive(ctx, watchWriter, pieces(w.events), func(ctx context.Context, i int) error {
			_, err := w.api.createPod(ctx, fmt.Sprintf("w%d", w.round), i)
			return err
		})
		return err
	})
}

// written is the rate at which the limit's server writes the same.
func (w *watching) written(ctx context.Context) (float64, error) {
	return w.deliver(ctx, w.limit, fmt.Sprintf("/stream?events=%d", w.events), func(ctx context.Context) error {
		_, err := w.limit.size(ctx, http.MethodPost, "/release", "", nil)
		return err
	})
}

func (w *watching) revision(ctx context.Context) (string, error) {
	b, err := w.api.get(ctx, podsPath+"?limit=1", jsonType)
	if err != nil {
		return "", err
	}
	return listRevision(b)
}

// listRevision is the resourceVersion of a list in JSON.
func listRevision(b []byte) (string, error) {
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return "", fmt.Errorf("read a list: %w", err)
	}
	if list.Metadata.ResourceVersion == "" {
		return "", errors.New("a list has no resourceVersion")
	}
	return list.Metadata.ResourceVersion, nil
}

// deliver opens the streams, makes the events happen, and returns how many a second arrived.
func (w *watching) deliver(ctx context.Context, from *server, path string, cause func(context.Context) error) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams := make([]io.ReadCloser, watchers)
	for i := range streams {
		h := from.connection()
		defer h.CloseIdleConnections()
		resp, err := from.send(ctx, h, http.MethodGet, path, jsonType, nil)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		streams[i] = resp.Body
	}
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range streams {
		group.Go(func() error { return countLines(s, w.events) })
	}
	group.Go(func() error { return cause(ctx) })
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return float64(watchers*w.events) / time.Since(start).Seconds(), nil
}

// countLines returns when n lines have been read.
func countLines(r io.Reader, n int) error {
	buf := make([]byte, 64<<10)
	for n > 0 {
		got, err := r.Read(buf)
		n -= bytes.Count(buf[:got], []byte{'\n'})
		if err != nil && n > 0 {
			return fmt.Errorf("a watch ended %d events before its end: %w", n, err)
		}
	}
	return nil
}
