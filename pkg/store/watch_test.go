package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func watch(t testing.TB, s *Store, o WatchOptions) *Watcher {
	t.Helper()
	w, err := s.Watch(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// next reads n events.
func next(t testing.TB, w *Watcher, n int) []Event {
	t.Helper()
	var out []Event
	for len(out) < n {
		events, err := w.Next(within(t))
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(out), n, err)
		}
		out = append(out, events...)
	}
	return out
}

func TestSlowWatcherEndsAndResumes(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.WatchQueue = 4 })
	w := watch(t, s, WatchOptions{Prefix: "/registry/", After: s.Revision()})
	first := set(t, s, "/registry/a", "v=0\n")
	if got := next(t, w, 1); got[0].Object != first {
		t.Fatalf("first event: %+v", got)
	}
	var last *Object
	for i := range 10 {
		last = set(t, s, "/registry/a", fmt.Sprintf("v=%d\n", i))
	}
	if err := s.Wait(within(t), last.Rev); err != nil {
		t.Fatal(err)
	}
	if events, err := w.Next(within(t)); !errors.Is(err, ErrSlow) {
		t.Fatalf("next of a slow watcher: %v, %v", events, err)
	}
	if n := len(s.Stats().Watchers); n != 0 {
		t.Errorf("the slow watcher is still registered: %v", s.Stats().Watchers)
	}
	resumed := next(t, watch(t, s, WatchOptions{Prefix: "/registry/", After: first.Rev}), 10)
	if resumed[9].Object != last {
		t.Errorf("resumed to %+v", resumed[9])
	}
}

func TestWatchersShareObjects(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := watch(t, s, WatchOptions{Prefix: "/registry/pods/", After: s.Revision()})
	b := watch(t, s, WatchOptions{Prefix: "/registry/pods/ns/", Term: &Term{"node", "n1"}, Initial: &ReadAt{}})
	made := set(t, s, "/registry/pods/ns/x", ".node=n1\n")
	set(t, s, "/registry/pods/ns/x", ".node=n2\n")
	del(t, s, "/registry/pods/ns/x")
	ea, eb := next(t, a, 3), next(t, b, 3)
	if ea[0].Object != made || eb[1].Object != made {
		t.Error("the object of a commit is not that of the watchers")
	}
	if !eb[0].InitialEnd || eb[2].Type != Deleted || eb[2].Rev != ea[1].Rev || eb[2].Object.Rev != ea[1].Rev {
		t.Errorf("leaving a term: %+v", eb)
	}
	if string(eb[2].Object.Value) != ".node=n1\n" || ea[2].Type != Deleted || string(ea[2].Object.Value) != ".node=n2\n" {
		t.Errorf("last states: %+v %+v", eb[2].Object, ea[2].Object)
	}
}

func TestBookmarks(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.BookmarkEvery = 10 * time.Millisecond })
	w := watch(t, s, WatchOptions{Prefix: "/registry/pods/", After: s.Revision(), Bookmarks: true})
	other := set(t, s, "/registry/nodes/n", "v=1\n")
	for seen := int64(0); seen < other.Rev; {
		for _, e := range next(t, w, 1) {
			if e.Type != Bookmark || e.Rev < seen || e.Rev > s.Revision() {
				t.Fatalf("event %+v after %d, store at %d", e, seen, s.Revision())
			}
			seen = e.Rev
		}
	}
}

func TestCompactedRevisionsAreTooOld(t *testing.T) {
	t.Parallel()
	for name, historyBytes := range map[string]int64{"in memory": 0, "from etcd": 1} {
		s := open(t, func(c *Config) { c.HistoryBytes = historyBytes })
		var made []*Object
		for i := range 4 {
			made = append(made, set(t, s, "/registry/a", fmt.Sprintf("v=%d\n", i)))
		}
		if err := s.Wait(within(t), made[3].Rev); err != nil { // what comes later is not forgotten
			t.Fatal(err)
		}
		if err := s.Compact(within(t), made[2].Rev); err != nil {
			t.Fatal(err)
		}
		for _, after := range made[:2] { // the second is just before the compaction: the change is left, not what was before
			if _, err := s.Watch(within(t), WatchOptions{Prefix: "/registry/", After: after.Rev}); !errors.Is(err, ErrTooOld) {
				t.Errorf("%s: watch from a compacted revision: %v", name, err)
			}
		}
		if _, err := s.List(within(t), "/registry/", ReadAt{Exact, made[1].Rev}, ListOptions{}); !errors.Is(err, ErrTooOld) {
			t.Errorf("%s: list at a compacted revision: %v", name, err)
		}
		got := next(t, watch(t, s, WatchOptions{Prefix: "/registry/", After: made[2].Rev}), 1)
		if got[0].Object != made[3] || got[0].Type != Modified {
			t.Errorf("%s: watch from the compaction on: %+v", name, got)
		}
		if n := len(s.Stats().Watchers); n != 1 {
			t.Errorf("%s: watchers %v", name, s.Stats().Watchers)
		}
	}
}

func TestCompactionGoesOn(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.CompactEvery = 20 * time.Millisecond })
	first := set(t, s, "/registry/a", "v=1\n")
	for ctx := within(t); ; {
		last := set(t, s, "/registry/a", "v=2\n")
		if p, err := s.List(ctx, "/registry/", ReadAt{Exact, last.Rev}, ListOptions{}); err != nil || p.Objects[0] != last {
			t.Fatalf("the newest state: %v, %v", p, err)
		}
		_, err := s.List(ctx, "/registry/", ReadAt{Exact, first.Rev}, ListOptions{})
		if errors.Is(err, ErrTooOld) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Watch(within(t), WatchOptions{Prefix: "/registry/", After: first.Rev}); !errors.Is(err, ErrTooOld) {
		t.Errorf("watch from there: %v", err)
	}
}

func TestCloseWakesAll(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := watch(t, s, WatchOptions{Prefix: "/registry/", After: s.Revision()})
	results := make(chan error)
	go func() { _, err := w.Next(context.Background()); results <- err }()
	go func() { results <- s.Wait(context.Background(), 1<<40) }()
	s.Close()
	for range 2 {
		if err := <-results; !errors.Is(err, ErrClosed) {
			t.Errorf("woken with %v", err)
		}
	}
	if _, err := s.Get(within(t), "/registry/a", ReadAt{Kind: Any}); !errors.Is(err, ErrClosed) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Commit(within(t), Txn{}); !errors.Is(err, ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Watch(within(t), WatchOptions{Prefix: "/registry/"}); !errors.Is(err, ErrClosed) {
		t.Errorf("watch: %v", err)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	w, err := s.Watch(ctx, WatchOptions{Prefix: "/registry/", After: s.Revision()})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Next(within(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("next: %v", err)
	}
	if n := len(s.Stats().Watchers); n != 0 {
		t.Errorf("still registered: %v", s.Stats().Watchers)
	}
}

// When etcd cannot tell what happened, the image is loaded again and watchers have to list again.
func TestReload(t *testing.T) {
	t.Parallel()
	s := open(t)
	old := set(t, s, "/registry/a", "v=1\n")
	w := watch(t, s, WatchOptions{Prefix: "/registry/", Initial: &ReadAt{}})
	next(t, w, 2)
	if _, err := s.load(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(within(t)); !errors.Is(err, ErrTooOld) {
		t.Errorf("watch across a reload: %v", err)
	}
	made := set(t, s, "/registry/b", "v=1\n")
	p, err := s.List(within(t), "/registry/", ReadAt{}, ListOptions{})
	if err != nil || len(p.Objects) != 2 || p.Objects[0].Rev != old.Rev || p.Objects[1] != made {
		t.Errorf("after a reload: %v, %v", p, err)
	}
}

// An etcd that was set back to an older state is noticed by the next read.
func TestRestoredEtcd(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.Logger = nil })
	made := set(t, s, "/registry/a", "v=1\n")
	if err := s.Wait(within(t), made.Rev); err != nil {
		t.Fatal(err)
	}
	w := watch(t, s, WatchOptions{Prefix: "/registry/", After: made.Rev})
	s.advance(nil, made.Rev+1000) // the image has been further than etcd is now
	if _, err := s.Newest(within(t)); !errors.Is(err, errRestored) {
		t.Fatalf("newest: %v", err)
	}
	if _, err := w.Next(within(t)); !errors.Is(err, ErrTooOld) {
		t.Errorf("watch: %v", err)
	}
	again := set(t, s, "/registry/a", "v=2\n")
	if got, err := s.Get(within(t), "/registry/a", ReadAt{}); err != nil || got.Rev != again.Rev {
		t.Errorf("get: %+v, %v; wrote %d", got, err, again.Rev)
	}
}
