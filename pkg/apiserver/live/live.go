// Package live keeps the decoded objects of a kind at hand for those parts of the API server that decide by them: role
// bindings, webhook configurations, policies, custom resource definitions, flow schemas.
//
// # The problem
//
// Such objects are few, seldom change, and are asked for with every request. Listing and decoding them each time costs more than the
// request; an informer costs a goroutine and a little lateness, in which a right that was just taken away still holds.
//
// # The flow
//
// A Kind has a watcher of the store and takes in what has happened when it is asked, not before: nothing runs in the background.
// What is computed from kinds (Derive) is computed again at the first question after a change, and kept till the next.
//
// # The guarantees
//
//   - What is returned is as new as the store's image, and never a mixture: All is the state at one moment.
//   - Objects are shared: whoever gets one must not change it. They lack their managedFields.
//   - An object that cannot be decoded is left out, and logged.
package live

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Source is where kinds come from. Watches end with Context.
type Source struct {
	Context context.Context
	Store   store.API
	Table   *resource.Registry
	Logger  *slog.Logger
}

// Kind is the objects of one kind. It may be used concurrently.
type Kind[T resource.Object] struct {
	src Source
	row *resource.Row

	version atomic.Uint64
	mu      sync.Mutex
	watcher *store.Watcher
	objects map[string]T
	sorted  []T // nil after a change
}

// Follow returns the kind that r names, which must be in the table of the source.
func Follow[T resource.Object](src Source, r schema.GroupResource) *Kind[T] {
	for _, row := range src.Table.Rows() {
		if row.Resource == r.Resource && row.Group() == r.Group {
			return &Kind[T]{src: src, row: row, objects: map[string]T{}}
		}
	}
	panic("live: no row for " + r.String())
}

// Get returns the object of that name; namespace is empty for kinds without namespaces.
func (k *Kind[T]) Get(namespace, name string) (T, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.catchUp()
	obj, ok := k.objects[k.row.Key(namespace, name)]
	return obj, ok
}

// All returns the objects in the order of their keys. The slice must not be changed.
func (k *Kind[T]) All() []T {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.catchUp()
	if k.sorted == nil {
		k.sorted = make([]T, 0, len(k.objects))
		for _, key := range sortedKeys(k.objects) {
			k.sorted = append(k.sorted, k.objects[key])
		}
	}
	return k.sorted
}

// Version grows with every change.
func (k *Kind[T]) Version() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.catchUp()
	return k.version.Load()
}

// catchUp takes in what has happened since the last time. A watch that has failed (it was not read for too long) begins anew;
// if that is impossible, because the store is closed, what was known last stays.
func (k *Kind[T]) catchUp() {
	if k.watcher != nil {
		events, err := k.watcher.Poll()
		if err == nil {
			k.apply(events)
			return
		}
	}
	w, err := k.src.Store.Watch(k.src.Context, store.WatchOptions{
		Prefix: k.row.KeyPrefix(""), Initial: &store.ReadAt{Kind: store.Any}})
	if err != nil {
		k.watcher = nil
		return
	}
	k.watcher = w
	clear(k.objects)
	k.changed()
	for !k.begin() {
	}
}

// begin takes in a part of the initial state, and reports whether it was the last.
func (k *Kind[T]) begin() bool {
	events, err := k.watcher.Poll()
	k.apply(events)
	return err != nil || len(events) == 0 || events[len(events)-1].InitialEnd
}

func (k *Kind[T]) apply(events []store.Event) {
	for _, e := range events {
		switch e.Type {
		case store.Added, store.Modified:
			k.put(e.Object)
		case store.Deleted:
			delete(k.objects, e.Object.Key)
			k.changed()
		}
	}
}

func (k *Kind[T]) put(o *store.Object) {
	k.changed()
	obj, err := k.row.DecodeStorage(o.Value, o.Rev)
	if err != nil {
		delete(k.objects, o.Key)
		if k.src.Logger != nil {
			k.src.Logger.Error("a stored object cannot be read and is passed over", "key", o.Key, "error", err)
		}
		return
	}
	obj.GetObjectKind().SetGroupVersionKind(k.row.GVK())
	obj.SetManagedFields(nil) // as large as the rest, and of no use to who decides by the object
	k.objects[o.Key] = obj.(T)
}

func (k *Kind[T]) changed() {
	k.sorted = nil
	k.version.Add(1)
}

// Versioned is what Derive watches: a Kind of any type, or anything else that counts its changes.
type Versioned interface{ Version() uint64 }

// Derive returns a function that returns what compute made of the newest state of its sources: the same value until one of them
// changes. Compute runs without company, and reads the sources itself.
func Derive[V any](compute func() V, from ...Versioned) func() V {
	var (
		mu    sync.Mutex
		value V
		seen  []uint64
	)
	return func() V {
		var few [4]uint64 // which needs no heap
		now := few[:0]
		for _, f := range from {
			now = append(now, f.Version())
		}
		mu.Lock()
		defer mu.Unlock()
		if seen == nil || older(seen, now) {
			value, seen = compute(), slices.Clone(now)
		}
		return value
	}
}

// older reports whether any of now has gone beyond seen. Another caller may have seen more than this one.
func older(seen, now []uint64) bool {
	for i := range now {
		if now[i] > seen[i] {
			return true
		}
	}
	return false
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
