package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// body is about as long as a stored pod.
var body = bytes.Repeat([]byte("app=nginx-of-some-length\n"), 60)

func podKey(i int) string { return fmt.Sprintf("/registry/pods/ns-%d/pod-%06d", i%10, i) }

// BenchmarkCommit measures durable creates. fsyncs/commit is the time of a commit as a multiple of what writing the same bytes to a
// file and waiting for the disk takes alone, in the same run and directory.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b)
			ctx := context.Background()
			limit := syncTime(b, s.cfg.Dir)
			var n, worst, total atomic.Int64
			var group sync.WaitGroup
			b.ResetTimer()
			for range writers {
				group.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						key := podKey(int(i))
						p := Put{Key: key, Value: body, Attrs: Attrs{Fields: Set{{"node", "n1"}}}}
						got, err := s.Commit(ctx, Txn{If: []Condition{{Key: key}}, Put: []Put{p}})
						if err != nil {
							b.Error(err)
							return
						}
						if i%16 == 0 {
							lag := lagOf(s, got[0].Rev)
							total.Add(int64(lag))
							worst.Store(max(worst.Load(), int64(lag)))
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
			each := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(each)/float64(limit), "fsyncs/commit")
			b.ReportMetric(float64(total.Load())/float64(b.N/16+1)/1e3, "lag-us")
			b.ReportMetric(float64(worst.Load())/1e3, "worst-lag-us")
		})
	}
}

// lagOf is how long after a commit the image has it.
func lagOf(s *Store, rev int64) time.Duration {
	start := time.Now()
	if err := s.Wait(context.Background(), rev); err != nil {
		return time.Hour
	}
	return time.Since(start)
}

// syncTime is how long it takes to append body to a file and to have it on disk.
func syncTime(b *testing.B, dir string) time.Duration {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const rounds = 100
	start := time.Now()
	for range rounds {
		if _, err := f.Write(body); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / rounds
}

// fill makes n pods, in transactions of a hundred.
func fill(b testing.TB, s *Store, n int) {
	for i := 0; i < n; {
		var t Txn
		for ; i < n && len(t.Put) < 100; i++ {
			a := Attrs{
				Labels: Set{{"app", "nginx"}, {"pod-template-hash", "5d59d67564"}},
				Fields: Set{{"metadata.name", fmt.Sprintf("pod-%06d", i)}, {"node", fmt.Sprintf("node-%d", i%nodes)}},
			}
			t.Put = append(t.Put, Put{Key: podKey(i), Value: bytes.Clone(body), Attrs: a})
		}
		commit(b, s, t)
	}
	if _, err := s.List(within(b), "/registry/pods/x/", ReadAt{}, ListOptions{}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkList5000(b *testing.B) {
	s := open(b)
	fill(b, s, 5000)
	for _, at := range []struct {
		name string
		ReadAt
	}{{"any", ReadAt{Kind: Any}}, {"newest", ReadAt{}}} {
		b.Run(at.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := s.List(context.Background(), "/registry/pods/", at.ReadAt, ListOptions{})
				if err != nil || len(p.Objects) != 5000 {
					b.Fatal(len(p.Objects), err)
				}
			}
		})
	}
}

func BenchmarkNewest(b *testing.B) {
	s := open(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Newest(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFanOut measures what watchers add to writes: a hundred that each get every event, as controllers do, and a
// thousand that each watch the pods of one node of a thousand, as kubelets do.
func BenchmarkFanOut(b *testing.B) {
	all := func(int) *Term { return nil }
	node := func(i int) *Term { return &Term{"node", fmt.Sprintf("node-%d", i)} }
	for _, c := range []struct {
		name     string
		watchers int
		term     func(i int) *Term
		events   func(i, n int) int
	}{
		{"none", 0, nil, nil},
		{"all=100", 100, all, func(_, n int) int { return n }},
		{"node=1000", 1000, node, func(i, n int) int { return n/nodes + b2i(i < n%nodes) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, func(c *Config) { c.WatchQueue = 1 << 20 })
			ctx := within(b)
			var group sync.WaitGroup
			total := 0
			for i := range c.watchers {
				w, err := s.Watch(ctx, WatchOptions{Prefix: "/registry/pods/", Term: c.term(i), After: s.Revision()})
				if err != nil {
					b.Fatal(err)
				}
				want := c.events(i, b.N)
				total += want
				group.Go(func() { drainEvents(b, ctx, w, want) })
			}
			b.ResetTimer()
			fill(b, s, b.N)
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

const nodes = 1000

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func drainEvents(b *testing.B, ctx context.Context, w *Watcher, want int) {
	for seen := 0; seen < want; {
		events, err := w.Next(ctx)
		if err != nil {
			b.Error(err)
			return
		}
		seen += len(events)
	}
}

// BenchmarkMemory reports what an object costs beyond its bytes.
func BenchmarkMemory(b *testing.B) {
	const n = 20000
	dir := b.TempDir()
	s := open(b, func(c *Config) { c.Dir = dir })
	fill(b, s, n)
	s.Close()
	s = open(b, func(c *Config) { c.Dir = dir; c.Extract = podAttrs })
	s.mu.Lock()
	im := s.image
	with := heap()
	s.image = newImage("/registry/", nil)
	s.mu.Unlock()
	_ = im.rev
	im = nil
	without := heap()
	b.ReportMetric(float64(with-without)/n-float64(len(body)), "B/object")
	b.ReportMetric(0, "ns/op")
}

func podAttrs(key string, _ []byte) (Attrs, error) {
	return Attrs{
		Labels: NewSet(map[string]string{"app": "nginx", "pod-template-hash": "5d59d67564"}),
		Fields: NewSet(map[string]string{"metadata.name": key[len(key)-10:], "node": "node-" + key[len(key)-2:]}),
	}, nil
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
