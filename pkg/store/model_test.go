package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// The model of a store is a list of states, one for each revision. Two stores on one etcd, one with etcd inside and
// one that reaches it over a socket, must both behave like it, whichever of them writes.

type model struct {
	base    string
	states  []mstate // in order of rev
	stores  []*Store
	watches []*mwatch
}

type mstate struct {
	rev     int64
	objects map[string]mobject
	changed []string // keys, in the order of the transaction
}

type mobject struct {
	rev   int64
	value string
}

func (m *model) now() mstate { return m.states[len(m.states)-1] }

// at returns the state at rev, which need not be a revision of this model's keys.
func (m *model) at(rev int64) mstate {
	i := sort.Search(len(m.states), func(i int) bool { return m.states[i].rev > rev })
	return m.states[i-1]
}

// mscope is what a read or watch is narrowed to, in both worlds.
type mscope struct {
	prefix string
	node   string // Term
	app    string // Match
}

func (s mscope) admits(key string, o mobject) bool {
	a, _ := extract(key, []byte(o.value))
	return covers(s.prefix, key) && (s.node == "" || a.Fields.Get("node") == s.node) && (s.app == "" || a.Labels.Get("app") == s.app)
}

func (s mscope) term() *Term {
	if s.node == "" {
		return nil
	}
	return &Term{"node", s.node}
}

func (s mscope) match() func(*Object) bool {
	if s.app == "" {
		return nil
	}
	return func(o *Object) bool { return o.Attrs.Labels.Get("app") == s.app }
}

// mwatch is a watcher, and the revision up to which its events were compared.
type mwatch struct {
	mscope
	w       *Watcher
	from    int64
	initial bool
	pending []string
}

func line(t EventType, rev int64, key, value string) string {
	return fmt.Sprintf("%d %s %s %q", rev, [...]string{"added", "modified", "deleted", "bookmark"}[t], key, value)
}

// expected returns the events that the model has for w up to now.
func (m *model) expected(w *mwatch) (out []string) {
	if w.initial {
		s := m.at(w.from)
		for _, key := range slices.Sorted(maps.Keys(s.objects)) {
			if o := s.objects[key]; w.admits(key, o) {
				out = append(out, line(Added, o.rev, key, o.value))
			}
		}
		out = append(out, "initial end")
		w.initial = false
	}
	before := m.at(w.from)
	for _, s := range m.states {
		if s.rev <= w.from {
			continue
		}
		for _, key := range s.changed {
			old, had := before.objects[key]
			o, has := s.objects[key]
			was, is := had && w.admits(key, old), has && w.admits(key, o)
			switch {
			case was && is:
				out = append(out, line(Modified, s.rev, key, o.value))
			case is:
				out = append(out, line(Added, s.rev, key, o.value))
			case was:
				out = append(out, line(Deleted, s.rev, key, old.value))
			}
		}
		before = s
	}
	w.from = m.now().rev
	return out
}

// check reads what w has to say by now, and no less.
func (m *model) check(t *rapid.T, ctx context.Context, w *mwatch) {
	want := m.expected(w)
	for len(w.pending) < len(want) {
		events, err := w.w.Next(ctx)
		if err != nil {
			t.Fatalf("watch of %+v: %v; has %q, want %q", w.mscope, err, w.pending, want)
		}
		for _, e := range events {
			if e.InitialEnd {
				w.pending = append(w.pending, "initial end")
				continue
			}
			if e.Type == Deleted && e.Object.Rev != e.Rev {
				t.Fatalf("deleted at %d with object at %d", e.Rev, e.Object.Rev)
			}
			w.pending = append(w.pending, line(e.Type, e.Rev, e.Object.Key, string(e.Object.Value)))
		}
	}
	if diff := cmp.Diff(want, w.pending[:len(want)], cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("watch of %+v (- want, + got):\n%s", w.mscope, diff)
	}
	w.pending = w.pending[len(want):]
}

// commit draws a transaction and makes it.
func (m *model) commit(t *rapid.T, ctx context.Context) {
	s := m.stores[rapid.IntRange(0, len(m.stores)-1).Draw(t, "store")]
	var txn Txn
	next := mstate{objects: maps.Clone(m.now().objects)}
	conflict := false
	for _, key := range rapid.SliceOfNDistinct(m.key(), 1, 3, rapid.ID).Draw(t, "keys") {
		have := next.objects[key]
		switch rapid.SampledFrom([]string{"none", "right", "wrong"}).Draw(t, "condition") {
		case "right":
			txn.If = append(txn.If, Condition{key, have.rev})
		case "wrong":
			txn.If = append(txn.If, Condition{key, have.rev + 1})
			conflict = true
		}
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			txn.Delete = append(txn.Delete, key)
			delete(next.objects, key)
		} else {
			value := fmt.Sprintf("app=%s\n.node=%s\nv=%d\n", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "app"),
				rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "node"), rapid.IntRange(0, 1).Draw(t, "v"))
			txn.Put = append(txn.Put, put(key, value))
		}
	}
	got, err := s.Commit(ctx, txn)
	if conflict {
		if ce := (*ConflictError)(nil); !errors.As(err, &ce) {
			t.Fatalf("commit of %+v: %v", txn, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("commit of %+v: %v", txn, err)
	}
	for i, p := range txn.Put {
		next.rev = got[i].Rev
		next.changed = append(next.changed, p.Key)
		next.objects[p.Key] = mobject{got[i].Rev, string(p.Value)}
	}
	for i, key := range txn.Delete {
		have, exists := m.now().objects[key]
		o := got[len(txn.Put)+i]
		if exists != (o != nil) || exists && string(o.Value) != have.value {
			t.Fatalf("delete of %s: %v, had %v", key, o, have)
		}
		if exists {
			next.rev = o.Rev
			next.changed = append(next.changed, key)
		}
	}
	if next.rev != 0 {
		m.states = append(m.states, next)
	}
}

func (m *model) key() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return m.base + rapid.SampledFrom([]string{"ns/", "ns/", "ns2/"}).Draw(t, "ns") +
			rapid.SampledFrom([]string{"a", "b", "bc"}).Draw(t, "name")
	})
}

func (m *model) scope(t *rapid.T) mscope {
	return mscope{
		prefix: m.base + rapid.SampledFrom([]string{"", "ns/", "ns2/", "ns/b"}).Draw(t, "prefix"),
		node:   rapid.SampledFrom([]string{"", "", "n1"}).Draw(t, "term"),
		app:    rapid.SampledFrom([]string{"", "", "b"}).Draw(t, "match"),
	}
}

// read draws a read, makes it page by page, and compares.
func (m *model) read(t *rapid.T, ctx context.Context) {
	s := m.stores[rapid.IntRange(0, len(m.stores)-1).Draw(t, "store")]
	scope, want := m.scope(t), m.now()
	at := ReadAt{}
	if rapid.Bool().Draw(t, "exact") {
		want = rapid.SampledFrom(m.states).Draw(t, "state")
		at = ReadAt{Kind: Exact, Rev: want.rev}
	}
	o := ListOptions{Term: scope.term(), Match: scope.match(), Limit: rapid.IntRange(0, 2).Draw(t, "limit")}
	got := map[string]mobject{}
	for {
		p, err := s.List(ctx, scope.prefix, at, o)
		if err != nil {
			t.Fatalf("list of %+v at %+v: %v", scope, at, err)
		}
		for _, obj := range p.Objects {
			got[obj.Key] = mobject{obj.Rev, string(obj.Value)}
			o.After = obj.Key
		}
		if !p.More {
			break
		}
		at = ReadAt{Kind: Exact, Rev: p.Rev}
	}
	all := maps.Clone(want.objects)
	maps.DeleteFunc(all, func(key string, o mobject) bool { return !scope.admits(key, o) })
	if diff := cmp.Diff(all, got, cmp.AllowUnexported(mobject{})); diff != "" {
		t.Fatalf("list of %+v at %+v:\n%s", scope, at, diff)
	}
}

// get compares one key at some revision.
func (m *model) get(t *rapid.T, ctx context.Context) {
	s := m.stores[rapid.IntRange(0, len(m.stores)-1).Draw(t, "store")]
	want, key := rapid.SampledFrom(m.states).Draw(t, "state"), m.key().Draw(t, "key")
	got, err := s.Get(ctx, key, ReadAt{Kind: Exact, Rev: want.rev})
	have, exists := want.objects[key]
	switch {
	case !exists && errors.Is(err, ErrNotFound):
	case exists && err == nil && have == mobject{got.Rev, string(got.Value)}:
	default:
		t.Fatalf("%s at %d: %v, %v; want %v", key, want.rev, got, err, have)
	}
}

func (m *model) watch(t *rapid.T, ctx context.Context) {
	s := m.stores[rapid.IntRange(0, len(m.stores)-1).Draw(t, "store")]
	w := &mwatch{mscope: m.scope(t)}
	o := WatchOptions{Prefix: w.prefix, Term: w.term(), Match: w.match()}
	if w.initial = rapid.Bool().Draw(t, "initial"); w.initial {
		o.Initial, w.from = &ReadAt{}, m.now().rev
	} else {
		back := rapid.IntRange(0, min(6, len(m.states)-1)).Draw(t, "back")
		o.After = m.states[len(m.states)-1-back].rev
		w.from = o.After
	}
	var err error
	if w.w, err = s.Watch(ctx, o); err != nil {
		t.Fatalf("watch of %+v: %v", w.mscope, err)
	}
	m.watches = append(m.watches, w)
}

func TestModel(t *testing.T) {
	t.Parallel()
	socket := "unix://" + filepath.Join(t.TempDir(), "etcd")
	small := func(c *Config) { c.HistoryBytes = 1500 } // so that some watches resume from etcd
	in := open(t, small, func(c *Config) { c.ClientURL = socket })
	out := open(t, small, func(c *Config) { c.Endpoints = []string{socket} })
	var runs atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		m := &model{base: fmt.Sprintf("/registry/run%d/", runs.Add(1)), stores: []*Store{in, out}}
		start, err := in.Newest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		m.states = []mstate{{rev: start}}
		m.states[0].objects = map[string]mobject{}
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch rapid.SampledFrom(strings.Fields("commit commit commit commit read get watch check")).Draw(t, "step") {
			case "commit":
				m.commit(t, ctx)
			case "read":
				m.read(t, ctx)
			case "get":
				m.get(t, ctx)
			case "watch":
				m.watch(t, ctx)
			case "check":
				for _, w := range m.watches {
					m.check(t, ctx, w)
				}
			}
		}
		for _, w := range m.watches {
			m.check(t, ctx, w)
		}
	})
}
