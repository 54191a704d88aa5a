package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// creates measures durable creates of pods: the API server answers when etcd has the pod on disk. Two limits hold it: what HTTP/2 and
// TLS carry between the same client and a server that does nothing, and how often the disk can be told to keep as many bytes.
func creates(ctx context.Context, b *bench) (results []Result, err error) {
	api, err := b.startAPIServer(ctx, "create-api")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.stop()) }()
	limit, err := b.startLimit(ctx, "create-limit")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, limit.stop()) }()
	size, err := api.createPod(ctx, "first", 0)
	if err != nil {
		return nil, err
	}
	c := &creating{bench: b, api: api, limit: limit, size: size}
	for _, writers := range []int{1, 64} {
		got, err := c.by(ctx, writers)
		if err != nil {
			return nil, err
		}
		results = append(results, got...)
	}
	return results, nil
}

// creating is the row while it is measured.
type creating struct {
	*bench
	api, limit *server
	size       int64 // of an answer
	round      int
}

// tally is what creates, or what stands for them, came to over all turns.
type tally struct {
	waits []time.Duration
	cpu   time.Duration // of the server
}

// each is the server's processor time for one, in milliseconds: unlike a rate, a busy machine hardly distorts it.
func (t *tally) each() float64 { return milliseconds(t.cpu) / float64(max(1, len(t.waits))) }

// measured drives do and adds what it came to; it returns the rate.
func (t *tally) measured(ctx context.Context, s *server, writers int, span time.Duration, do func(context.Context, int) error) (float64, error) {
	before, err := usageOf(s.pid())
	if err != nil {
		return 0, err
	}
	l, err := drive(ctx, writers, lasting(span), do)
	if err != nil {
		return 0, err
	}
	after, err := usageOf(s.pid())
	t.cpu += after.cpu - before.cpu
	t.waits = append(t.waits, l.waits...)
	return l.rate(), err
}

func (c *creating) by(ctx context.Context, writers int) ([]Result, error) {
	span := time.Duration(c.scaled(2000, 500)) * time.Millisecond
	times := c.scaled(5, 2)
	path := fmt.Sprintf("/echo?size=%d", c.size)
	var made, echoed tally
	var disk []float64
	wait := c.profile(ctx, c.api, fmt.Sprintf("create-%d", writers), span*time.Duration(2*times))
	defer wait()
	got, err := compare(ctx, times, func(ctx context.Context) (float64, error) {
		c.round++
		c.progress("create ×%d: %d of %d", writers, len(disk)+1, times)
		return made.measured(ctx, c.api, writers, span, func(ctx context.Context, i int) error {
			_, err := c.api.createPod(ctx, fmt.Sprintf("c%d", c.round), i)
			return err
		})
	}, func(ctx context.Context) (float64, error) {
		d, err := c.diskRate(writers, span/4)
		if err != nil {
			return 0, err
		}
		disk = append(disk, d)
		return echoed.measured(ctx, c.limit, writers, span, func(ctx context.Context, i int) error {
			_, err := c.limit.size(ctx, http.MethodPost, path, jsonType, pod("echo", i))
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return c.results(writers, got, &made, &echoed, median(disk)), nil
}

func (c *creating) results(writers int, got turns, made, echoed *tally, disk float64) []Result {
	name := fmt.Sprintf("create ×%d", writers)
	figure := Quantity{got.figure, "/s"}
	toEcho := Result{Row: name, Figure: figure}.against(Quantity{got.limit, "/s"}, "echo", got.ratio).
		detailed("p50 %s ms, p99 %s ms, CPU %s ms each (echo %s); %d bytes, answered with %d", digits(milliseconds(median(made.waits))),
			digits(milliseconds(quantile(made.waits, 0.99))), digits(made.each()), digits(echoed.each()), len(pod("c", 0)), c.size)
	if writers > 1 {
		toEcho = toEcho.aiming(Aim{AtLeast: 1.0 / 3})
	}
	toDisk := Result{Row: name, Figure: figure}.against(Quantity{disk, "/s"}, "fdatasync", 0)
	if writers > 1 {
		toDisk = toDisk.detailed("%d pods kept by one fdatasync", writers)
	}
	return []Result{toEcho, toDisk}
}

// diskRate is how many pods a second the disk keeps, if one fdatasync keeps as many as there are writers: etcd cannot do better.
// Like etcd it writes to space that the file has already.
func (c *creating) diskRate(writers int, d time.Duration) (rate float64, err error) {
	const space = 64 << 20
	f, err := os.CreateTemp(filepath.Join(c.dir), "fdatasync-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, space); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return 0, fmt.Errorf("make space for the file to sync: %w", err)
	}
	batch := make([]byte, int(c.size)*writers)
	start, done := time.Now(), 0
	for offset := int64(0); time.Since(start) < d; done += writers {
		if offset+int64(len(batch)) > space {
			offset = 0
		}
		if _, err := f.WriteAt(batch, offset); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync: %w", err)
		}
		offset += int64(len(batch))
	}
	return float64(done) / time.Since(start).Seconds(), nil
}
