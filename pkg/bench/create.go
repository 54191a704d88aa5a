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

func (c *creating) by(ctx context.Context, writers int) ([]Result, error) {
	each := time.Duration(c.scaled(2000, 500)) * time.Millisecond
	times := c.scaled(5, 2)
	path := fmt.Sprintf("/echo?size=%d", c.size)
	var waits []time.Duration
	var disk []float64
	var cpu time.Duration
	stop := c.profile(ctx, c.api, fmt.Sprintf("create-%d", writers), each*time.Duration(2*times))
	defer stop()
	got, err := compare(ctx, times, func(ctx context.Context) (float64, error) {
		c.round++
		c.progress("create ×%d: %d of %d", writers, len(disk)+1, times)
		before, err := usageOf(c.api.pid())
		if err != nil {
			return 0, err
		}
		l, err := drive(ctx, writers, lasting(each), func(ctx context.Context, i int) error {
			_, err := c.api.createPod(ctx, fmt.Sprintf("c%d", c.round), i)
			return err
		})
		if err != nil {
			return 0, err
		}
		after, err := usageOf(c.api.pid())
		cpu += after.cpu - before.cpu
		waits = append(waits, l.waits...)
		return l.rate(), err
	}, func(ctx context.Context) (float64, error) {
		d, err := c.diskRate(writers, each/4)
		if err != nil {
			return 0, err
		}
		disk = append(disk, d)
		l, err := drive(ctx, writers, lasting(each), func(ctx context.Context, i int) error {
			_, err := c.limit.size(ctx, http.MethodPost, path, jsonType, pod("echo", i))
			return err
		})
		return l.rate(), err
	})
	if err != nil {
		return nil, err
	}
	return c.results(writers, got, waits, cpu, median(disk)), nil
}

func (c *creating) results(writers int, got turns, waits []time.Duration, cpu time.Duration, disk float64) []Result {
	name := fmt.Sprintf("create ×%d", writers)
	figure := Quantity{got.figure, "/s"}
	echoed := Result{Row: name, Figure: figure}.against(Quantity{got.limit, "/s"}, "echo", got.ratio).
		detailed("p50 %s ms, p99 %s ms, %s ms of CPU each; a pod of %d bytes, answered with %d", digits(milliseconds(median(waits))),
			digits(milliseconds(quantile(waits, 0.99))), digits(milliseconds(cpu)/float64(len(waits))), len(pod("c", 0)), c.size)
	if writers > 1 {
		echoed = echoed.aiming(Aim{AtLeast: 1.0 / 3})
	}
	synced := Result{Row: name, Figure: figure}.against(Quantity{disk, "/s"}, "fdatasync", 0)
	if writers > 1 {
		synced = synced.detailed("%d pods kept by one fdatasync", writers)
	}
	return []Result{echoed, synced}
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
