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
// TLS carry between the same client and a server that does nothing, and how often the disk can be told to keep as many bytes. One
// writer waits for both, one after the other. Between them and the API server stands a server that does nothing but have
// an etcd keep the bytes: whatever is missing to that is Bonsai's own.
func creates(ctx context.Context, b *bench) ([]Result, error) {
	return b.besideLimit(ctx, "create", func(api, limit *server) (results []Result, err error) {
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
	})
}

// creating is the row while it is measured.
type creating struct {
	*bench
	api, limit *server
	size       int64 // of an answer
	round      int
}

// created is what some writers came to over all turns.
type created struct {
	turns
	writers      int
	made, echoed tally
	durable      tally           // an echo with an etcd behind it
	kept         []float64       // rates of what an etcd behind an echo keeps
	rates        []float64       // of what the disk keeps
	syncs        []time.Duration // that the disk took for it
}

func (c *creating) by(ctx context.Context, writers int) ([]Result, error) {
	span := time.Duration(c.scaled(1500, 500)) * time.Millisecond
	times := c.scaled(5, 2)
	all := created{writers: writers}
	wait := c.profile(ctx, c.api, fmt.Sprintf("create-%d", writers), span*time.Duration(2*times))
	defer wait()
	got, err := compare(ctx, times, func(ctx context.Context) (float64, error) {
		c.round++
		c.progress("create ×%d: %d of %d", writers, len(all.rates)+1, times)
		return all.made.measured(ctx, c.api, writers, lasting(span), func(ctx context.Context, i int) error {
			_, err := c.api.createPod(ctx, fmt.Sprintf("c%d", c.round), i)
			return err
		})
	}, func(ctx context.Context) (float64, error) {
		disk, err := c.disk(writers, span/4)
		if err != nil {
			return 0, err
		}
		all.rates, all.syncs = append(all.rates, disk.rate()), append(all.syncs, disk.waits...)
		kept, err := c.answered(ctx, "/durable", &all.durable, writers, span)
		if err != nil {
			return 0, err
		}
		all.kept = append(all.kept, kept)
		return c.answered(ctx, "/echo", &all.echoed, writers, span)
	})
	if err != nil {
		return nil, err
	}
	all.turns = got
	return all.results(c.size), nil
}

// answered is the rate at which the limit server takes pods at path and answers as the API server does.
func (c *creating) answered(ctx context.Context, path string, t *tally, writers int, span time.Duration) (float64, error) {
	path = fmt.Sprintf("%s?size=%d", path, c.size)
	return t.measured(ctx, c.limit, writers, lasting(span), func(ctx context.Context, i int) error {
		_, err := c.limit.size(ctx, http.MethodPost, path, jsonType, pod("echo", i))
		return err
	})
}

func (c *created) results(answered int64) []Result {
	name := fmt.Sprintf("create ×%d", c.writers)
	figure := Quantity{c.figure, "/s"}
	toEcho := Result{Row: name, Figure: figure}.against(Quantity{c.limit, "/s"}, "echo", c.ratio).
		detailed("%s; %d bytes, answered with %d", toldBeside(&c.made, &c.echoed), len(pod("c", 0)), answered)
	toKept := Result{Row: name, Figure: figure}.against(Quantity{median(c.kept), "/s"}, "echo + etcd", 0).
		detailed("CPU %s ms each", digits(c.durable.each()))
	toDisk := Result{Row: name, Figure: figure}.against(Quantity{median(c.rates), "/s"}, "fdatasync", 0)
	if c.writers > 1 {
		return []Result{toEcho.aiming(Aim{AtLeast: 0.5}), toKept, toDisk.detailed("%d pods kept by one fdatasync", c.writers)}
	}
	return []Result{toEcho, toKept, toDisk, c.one()}
}

// one is how long a create takes a lone writer, who has to wait for the connection and for the disk.
func (c *created) one() Result {
	echo, sync := milliseconds(median(c.echoed.waits)), milliseconds(median(c.syncs))
	return Result{Row: "create p50", Figure: Quantity{milliseconds(median(c.made.waits)), "ms"}}.
		against(Quantity{echo + sync, "ms"}, "fdatasync + echo", 0).aiming(Aim{AtMost: 2}).
		detailed("fdatasync %s ms, echo %s ms", digits(sync), digits(echo))
}

// disk is how many pods the disk keeps, if one fdatasync keeps as many as there are writers: etcd cannot do better. Like etcd it
// writes to space that the file has already.
func (c *creating) disk(writers int, d time.Duration) (l load, err error) {
	const space = 64 << 20
	f, err := os.CreateTemp(filepath.Join(c.dir), "fdatasync-")
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, space); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return l, fmt.Errorf("make space for the file to sync: %w", err)
	}
	batch := make([]byte, int(c.size)*writers)
	start := time.Now()
	for offset := int64(0); l.took < d; l.done += writers {
		if offset+int64(len(batch)) > space {
			offset = 0
		}
		if _, err := f.WriteAt(batch, offset); err != nil {
			return l, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return l, fmt.Errorf("fdatasync: %w", err)
		}
		offset += int64(len(batch))
		took := time.Since(start)
		l.waits, l.took = append(l.waits, took-l.took), took
	}
	return l, nil
}
