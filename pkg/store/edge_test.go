package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// Writers that each add one to a number, by read and conditional write, lose none.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	s := open(t)
	set(t, s, "/registry/n", "v=0\n")
	const writers, each = 8, 10
	ctx := within(t)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < each; {
				o, err := s.Get(ctx, "/registry/n", ReadAt{})
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(o.Attrs.Labels.Get("v"))
				_, err = s.Commit(ctx, Txn{If: []Condition{{o.Key, o.Rev}}, Put: []Put{put(o.Key, fmt.Sprintf("v=%d\n", n+1))}})
				if conflict := (*ConflictError)(nil); err == nil {
					done++
				} else if !errors.As(err, &conflict) || conflict.Rev <= o.Rev {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	o, err := s.Get(ctx, "/registry/n", ReadAt{})
	if err != nil || o.Attrs.Labels.Get("v") != strconv.Itoa(writers*each) {
		t.Errorf("counted to %+v, %v", o, err)
	}
	if n := s.Stats().Drafts; n != 0 {
		t.Errorf("%d drafts are left", n)
	}
}

// Commits return the very objects that watchers get, also of one key at the same time.
func TestDraftsMeetTheirEvents(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := watch(t, s, WatchOptions{Prefix: "/registry/", After: s.Revision()})
	const writers, each = 8, 25
	var mu sync.Mutex
	returned := map[int64]*Object{}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range each {
				o := set(t, s, "/registry/k", fmt.Sprintf("v=%d-%d\n", i, j))
				mu.Lock()
				returned[o.Rev] = o
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for _, e := range next(t, w, writers*each) {
		if returned[e.Rev] != e.Object {
			t.Errorf("at %d the commit returned %p, the watch %p", e.Rev, returned[e.Rev], e.Object)
		}
	}
}

// All pages of a list are of one state, whatever is written meanwhile.
func TestPagesWhileWriting(t *testing.T) {
	t.Parallel()
	s := open(t)
	var txn Txn
	for i := range 50 {
		txn.Put = append(txn.Put, put(fmt.Sprintf("/registry/pods/%02d", i), "round=0\n"))
	}
	commit(t, s, txn)
	ctx, cancel := context.WithCancel(within(t))
	var group sync.WaitGroup
	group.Go(func() {
		for round := 1; ctx.Err() == nil; round++ {
			for i := range txn.Put {
				txn.Put[i] = put(txn.Put[i].Key, fmt.Sprintf("round=%d\n", round))
			}
			s.Commit(ctx, txn)
		}
	})
	for range 30 {
		at, o := ReadAt{}, ListOptions{Limit: 7}
		rounds := map[string]int{}
		for more := true; more; {
			p, err := s.List(ctx, "/registry/pods/", at, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, obj := range p.Objects {
				rounds[obj.Attrs.Labels.Get("round")]++
				o.After = obj.Key
			}
			at, more = ReadAt{Exact, p.Rev}, p.More
		}
		if len(rounds) != 1 {
			t.Fatalf("pages of different rounds: %v", rounds)
		}
	}
	cancel()
	group.Wait()
}

func TestTTL(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := watch(t, s, WatchOptions{Prefix: "/registry/events/", After: s.Revision()})
	brief := func(name string) Put {
		p := put("/registry/events/"+name, "v=1\n")
		p.TTL = time.Second
		return p
	}
	start := time.Now()
	commit(t, s, Txn{Put: []Put{brief("a"), brief("b"), put("/registry/events/kept", "v=1\n")}})
	commit(t, s, Txn{Put: []Put{brief("c")}})
	commit(t, s, Txn{Put: []Put{put("/registry/events/c", "v=2\n")}}) // without TTL: c stays
	leases, err := s.client.Leases(within(t))
	if err != nil || len(leases.Leases) != 1 {
		t.Errorf("leases: %+v, %v", leases, err)
	}
	for _, e := range next(t, w, 7)[5:] {
		if e.Type != Deleted || time.Since(start) < time.Second {
			t.Errorf("%+v %s after %v", e, e.Object.Key, time.Since(start))
		}
	}
	p, err := s.List(within(t), "/registry/events/", ReadAt{}, ListOptions{})
	if err != nil || len(p.Objects) != 2 {
		t.Errorf("left are %v, %v", keys(p.Objects), err)
	}
}

// A value that cannot be read can still be found, watched and deleted, after a restart too.
func TestCorruptValue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	quiet := func(c *Config) { c.Dir, c.Logger = dir, nil }
	s := open(t, quiet)
	if _, err := s.client.Put(within(t), "/registry/bad", "nonsense"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := s.List(within(t), "/registry/", ReadAt{}, ListOptions{})
		if err != nil || len(p.Objects) != 1 || string(p.Objects[0].Value) != "nonsense" {
			t.Fatalf("list: %v, %v", p, err)
		}
		s.Close()
		s = open(t, quiet)
	}
	if o := del(t, s, "/registry/bad"); o == nil {
		t.Error("it could not be deleted")
	}
}

func TestHugeTransactions(t *testing.T) {
	t.Parallel()
	s := open(t)
	var txn Txn
	for i := range 5000 {
		txn.Put = append(txn.Put, put(fmt.Sprintf("/registry/a/%d", i), "v="+strings.Repeat("x", 1000)+"\n"))
	}
	commit(t, s, txn)
	p, err := s.List(within(t), "/registry/a/", ReadAt{}, ListOptions{})
	if err != nil || len(p.Objects) != 5000 {
		t.Errorf("%d objects, %v", len(p.Objects), err)
	}
	for name, txn := range map[string]Txn{
		"bytes": {Put: []Put{{Key: "/registry/big", Value: make([]byte, maxRequestBytes+1)}}},
		"keys":  {Put: make([]Put, maxTxnOps+1)},
	} {
		for i := range txn.Put {
			txn.Put[i].Key = fmt.Sprintf("/registry/big/%d", i)
		}
		if _, err := s.Commit(within(t), txn); !errors.Is(err, ErrRequestTooLarge) {
			t.Errorf("too many %s: %v", name, err)
		}
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.QuotaBytes = 4 << 20 })
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		key := fmt.Sprintf("/registry/a/%d", i)
		_, err = s.Commit(within(t), Txn{Put: []Put{{Key: key, Value: bytes.Repeat([]byte("x"), 1<<18)}}})
	}
	if !errors.Is(err, ErrNoSpace) {
		t.Fatalf("filled up: %v", err)
	}
	if _, err := s.Commit(within(t), Txn{Delete: []string{"/registry/a/0"}}); err != nil {
		t.Errorf("delete, to make space: %v", err)
	}
}

// A caller who gives up is told that the outcome is unknown, and the image shows what it was.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := open(t)
	unknown := 0
	for i := 0; unknown < 3 && i < 10000; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Microsecond)
		_, err := s.Commit(ctx, Txn{Put: []Put{put("/registry/k", fmt.Sprintf("v=%d\n", i))}})
		cancel()
		if errors.Is(err, ErrUnknownOutcome) && errors.Is(err, context.DeadlineExceeded) {
			unknown++
		}
	}
	if unknown < 3 {
		t.Error("no commit was cut short")
	}
	last := set(t, s, "/registry/k", "v=last\n")
	if got, err := s.Get(within(t), "/registry/k", ReadAt{}); err != nil || got != last {
		t.Errorf("%+v, %v", got, err)
	}
	if n := s.Stats().Drafts; n != 0 {
		t.Errorf("%d drafts are left", n)
	}
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, func(c *Config) { c.Dir = dir })
	if _, err := Open(within(t), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{}, {Dir: "x", Endpoints: []string{"y"}}} {
		if _, err := Open(within(t), c); err == nil {
			t.Errorf("opened %+v", c)
		}
	}
}

// An etcd that cannot write its log says so at level fatal, which must end neither the process nor the answers.
func TestDeathOfEtcd(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *Config) { c.Logger = nil })
	w := watch(t, s, WatchOptions{Prefix: "/registry/", After: s.Revision()})
	full := errors.New("no space left on device")
	go s.server.server.GetLogger().Fatal("failed to save", zap.Error(full))
	<-s.Done()
	if _, err := w.Next(within(t)); !errors.Is(err, full) {
		t.Errorf("watch: %v", err)
	}
	if _, err := s.Commit(within(t), Txn{Put: []Put{put("/registry/a", "v=1\n")}}); !errors.Is(err, full) {
		t.Errorf("commit: %v", err)
	}
	if err := s.Close(); err != nil || !errors.Is(s.Err(), full) {
		t.Errorf("close: %v; then %v", err, s.Err())
	}
}

func TestUnreachableEtcd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, Config{Endpoints: []string{"http://127.0.0.1:1"}})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("open: %v", err)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	s := open(t)
	set(t, s, "/registry/pods/a/x", "v=1\n")
	set(t, s, "/registry/pods/a/x", "v=12\n")
	last := set(t, s, "/registry/nodes/n", "v=1\n")
	watch(t, s, WatchOptions{Prefix: "/registry/pods/", Term: &Term{"node", "n"}, Initial: &ReadAt{}})
	watch(t, s, WatchOptions{Prefix: "/registry/", Initial: &ReadAt{}})
	got := s.Stats()
	want := Stats{
		Revision: last.Rev,
		Objects:  map[string]Count{"pods": {1, 5}, "nodes": {1, 4}}, Changes: map[string]uint64{"pods": 2, "nodes": 1},
		Watchers: map[string]int{"/registry/": 1, "/registry/pods/ node=n": 1},
		History:  3, HistoryFrom: got.HistoryFrom, HistoryBytes: got.HistoryBytes,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.HistoryBytes == 0 {
		t.Error(diff)
	}
}
