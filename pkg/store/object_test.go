package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"
)

var (
	_ labels.Labels = Set(nil)
	_ fields.Fields = Set(nil)
)

func TestFormIsMadeOnce(t *testing.T) {
	o := &Object{Value: []byte("v"), cache: &formCache{budget: 1 << 20}}
	made := 0
	encode := func(o *Object) ([]byte, error) { made++; return append([]byte("json of "), o.Value...), nil }
	first, _ := o.Form(JSON, encode)
	again, _ := o.Form(JSON, encode)
	if made != 1 || &first[0] != &again[0] || string(first) != "json of v" {
		t.Errorf("made %d times: %q, %q", made, first, again)
	}
	if _, err := o.Form(Protobuf, func(*Object) ([]byte, error) { return nil, fmt.Errorf("no") }); err == nil {
		t.Error("the encoder's error is lost")
	}
	if b, err := o.Form(Protobuf, encode); err != nil || len(b) == 0 {
		t.Errorf("after an error: %q, %v", b, err)
	}
}

// Whoever reads what, the cache holds no more than its budget, and it drops what is not used before what is.
func TestFormBudget(t *testing.T) {
	const size, fit = 100, 10
	c := &formCache{budget: size * fit}
	objects := make([]*Object, 4*fit)
	for i := range objects {
		objects[i] = &Object{cache: c}
	}
	misses := 0
	encode := func(*Object) ([]byte, error) { misses++; return make([]byte, size), nil }
	popular := objects[:3]
	popularMisses := 0
	for range 50 {
		for _, o := range objects {
			before := misses
			for _, p := range popular {
				p.Form(JSON, encode)
			}
			popularMisses += misses - before
			o.Form(JSON, encode)
			if c.size() > c.budget {
				t.Fatalf("%d bytes are kept, budget %d", c.size(), c.budget)
			}
		}
	}
	if popularMisses > len(popular) {
		t.Errorf("what every reader used was made %d times", popularMisses)
	}
}

func TestFormConcurrently(t *testing.T) {
	c := &formCache{budget: 1000}
	objects := make([]*Object, 50)
	for i := range objects {
		objects[i] = &Object{Rev: int64(i), cache: c}
	}
	encode := func(o *Object) ([]byte, error) { return bytes.Repeat([]byte{byte(o.Rev)}, 100), nil }
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 2000 {
				i := rand.IntN(len(objects))
				if b, err := objects[i].Form(JSON, encode); err != nil || len(b) != 100 || b[0] != byte(i) {
					t.Errorf("object %d: %v, %v", i, b, err)
				}
			}
		})
	}
	group.Wait()
}

// A Set answers like the map it was made from, interned or not.
func TestSet(t *testing.T) {
	in := newInterner()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SampledFrom([]string{"", "a", "b", "app", "node", "web-1"})
		m := rapid.MapOf(words, words).Draw(t, "map")
		a := in.attrs("/registry/pods/a/web-1", Attrs{Labels: NewSet(m), Fields: NewSet(m)})
		for _, s := range []Set{NewSet(m), a.Labels, a.Fields} {
			if len(s) != len(m) {
				t.Fatalf("%v of %v", s, m)
			}
			for i, p := range s {
				if v, ok := s.Lookup(p.Key); !ok || v != m[p.Key] || i > 0 && s[i-1].Key >= p.Key {
					t.Fatalf("%v of %v", s, m)
				}
			}
			if s.Has("none") || s.Get("none") != "" {
				t.Fatalf("%v has what is not there", s)
			}
		}
	})
}

func TestInternedSetsShareMemory(t *testing.T) {
	in := newInterner()
	of := func(key string) Attrs {
		m := map[string]string{"app": "web", "tier": "front"}
		return in.attrs(key, Attrs{Labels: NewSet(m), Fields: Set{{"metadata.name", key[len(key)-1:]}}})
	}
	a, b := of("/registry/pods/x"), of("/registry/pods/y")
	if &a.Labels[0] != &b.Labels[0] {
		t.Error("equal labels are kept twice")
	}
	for i := range 3 * internMax {
		in.attrs("/k", Attrs{Labels: Set{{"uid", fmt.Sprint(i)}}})
	}
	if len(in.sets) > internMax || len(in.strings) > internMax {
		t.Errorf("%d sets and %d strings are remembered", len(in.sets), len(in.strings))
	}
}

// The JSON that a write brings is there before anybody sees the object: a watcher, a reader, or the writer itself. Often enough, the watch
// is faster than the answer to the write.
func TestWritesBringJSON(t *testing.T) {
	for name, change := range map[string]func(*Config){"plain": func(*Config) {}, "transformed": func(c *Config) { c.Transform = marking{"m:"} }} {
		t.Run(name, func(t *testing.T) {
			s := open(t, change)
			ctx := within(t)
			w, err := s.Watch(ctx, WatchOptions{Prefix: "/registry/pods/", After: s.Revision()})
			require.NoError(t, err)
			never := func(o *Object) ([]byte, error) { return nil, fmt.Errorf("%s has to be encoded", o.Key) }
			const writers, writes = 4, 50
			var group errgroup.Group
			for i := range writers {
				group.Go(func() error {
					for n := range writes {
						p := put(fmt.Sprintf("/registry/pods/default/p%d-%d", i, n), "v=1\n")
						p.Maker = 7
						p.JSON = func(rev int64) []byte { return fmt.Appendf(nil, "%s at %d", p.Key, rev) }
						got, err := s.Commit(ctx, Txn{Put: []Put{p}})
						if err != nil {
							return err
						}
						if _, err := got[0].FormBy(7, JSON, never); err != nil {
							return err
						}
					}
					return nil
				})
			}
			for seen := 0; seen < writers*writes; {
				events, err := w.Next(ctx)
				require.NoError(t, err)
				for _, e := range events {
					b, err := e.Object.FormBy(7, JSON, never)
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("%s at %d", e.Object.Key, e.Rev), string(b))
					seen++
				}
			}
			require.NoError(t, group.Wait())
		})
	}
}
