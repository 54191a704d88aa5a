package garbagecollector

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"bonsai/pkg/reconcile"
)

var thing = &kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Thing"}, namespaced: true,
	resource: schema.GroupVersionResource{Version: "v1", Resource: "things"}}

// world is an API server for things, and the collector on top of it. The collector's graph learns of changes one after
// the other, as late as the test wants.
type world struct {
	t       *rapid.T
	objects map[types.UID]*node
	graph   *graph
	events  []func() []types.UID
	queue   []types.UID
	version int
}

func newWorld(t *rapid.T) *world {
	return &world{t: t, objects: map[types.UID]*node{}, graph: newGraph()}
}

func (w *world) put(n *node) {
	w.version++
	n.version = fmt.Sprint(w.version)
	w.objects[n.uid] = n
	w.events = append(w.events, func() []types.UID { return w.graph.set(n) })
}

func (w *world) drop(uid types.UID) {
	delete(w.objects, uid)
	w.events = append(w.events, func() []types.UID { return w.graph.remove(uid) })
}

// delete is what the API server does with a request.
func (w *world) delete(uid types.UID, policy metav1.DeletionPropagation) {
	n := *w.objects[uid]
	if n.deleting {
		return
	}
	n.deleting = true
	n.finalizers = slices.DeleteFunc(slices.Clone(n.finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	switch policy {
	case metav1.DeletePropagationForeground:
		n.finalizers = append(n.finalizers, metav1.FinalizerDeleteDependents)
	case metav1.DeletePropagationOrphan:
		n.finalizers = append(n.finalizers, metav1.FinalizerOrphanDependents)
	}
	if len(n.finalizers) == 0 {
		w.drop(uid)
		return
	}
	w.put(&n)
}

func (w *world) get(_ context.Context, _ *kind, _, name string) (*metav1.PartialObjectMetadata, error) {
	for _, n := range w.objects {
		if n.name == name {
			m := objectOf(n).PartialObjectMetadata
			m.Finalizers = n.finalizers
			if n.deleting {
				m.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			return m, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{}, name)
}

// hear lets the collector hear of the next change.
func (w *world) hear() {
	w.queue = append(w.queue, w.events[0]()...)
	w.events = w.events[1:]
}

// look has the collector do its plan for the next object. A write from an old version is refused, and the object comes again.
func (w *world) look() {
	uid := w.queue[0]
	w.queue = w.queue[1:]
	o := observer{graph: w.graph, kind: func(schema.GroupKind) *kind { return thing }, get: w.get}
	s, found, err := o.observe(w.t.Context(), reconcile.Key{Name: string(uid)}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if !found {
		return
	}
	for _, a := range plan(s, time.Time{}) {
		if !w.apply(a) {
			w.queue = append(w.queue, uid)
			return
		}
	}
}

func (w *world) apply(a reconcile.Action) bool {
	if a.Verb == reconcile.Tell {
		return true
	}
	n := w.objects[a.Object.GetUID()]
	switch {
	case n == nil:
		return true
	case n.version != a.Object.GetResourceVersion():
		return false
	case a.Verb == reconcile.Delete:
		w.checkDelete(n, a)
		w.delete(n.uid, *a.Options.PropagationPolicy)
		return true
	}
	var p struct {
		Metadata struct {
			OwnerReferences *[]metav1.OwnerReference
			Finalizers      *[]string
		}
	}
	if err := json.Unmarshal(a.Patch, &p); err != nil {
		w.t.Fatal(err)
	}
	next := *n
	if p.Metadata.OwnerReferences != nil {
		next.owners = *p.Metadata.OwnerReferences
	}
	if p.Metadata.Finalizers != nil {
		next.finalizers = *p.Metadata.Finalizers
	}
	if next.deleting && len(next.finalizers) == 0 {
		w.drop(n.uid)
		return true
	}
	w.put(&next)
	return true
}

// checkDelete is the promise: nothing with an owner that lives and does not wait is deleted.
func (w *world) checkDelete(n *node, a reconcile.Action) {
	for _, ref := range n.owners {
		if o := w.objects[ref.UID]; o != nil && !o.deleting {
			w.t.Fatalf("%s: but its owner %s lives", a, o.name)
		}
	}
}

func (w *world) settle() {
	for turns := 0; len(w.events)+len(w.queue) > 0; turns++ {
		if turns > 5000 {
			w.t.Fatalf("no end: %d changes and %d looks outstanding", len(w.events), len(w.queue))
		}
		if len(w.events) > 0 && (len(w.queue) == 0 || rapid.Bool().Draw(w.t, "hear first")) {
			w.hear()
		} else {
			w.look()
		}
	}
}

// Any graph, circles included, any deletions, and changes heard of at any time: nothing that is owned is lost, nothing that
// has lost its owners stays, and no deletion waits for ever.
func TestCollect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		n := rapid.IntRange(2, 8).Draw(t, "objects")
		uid := func(i int) types.UID { return types.UID(fmt.Sprint("u", i)) }
		for i := range n {
			o := &node{kind: thing, namespace: "ns", name: fmt.Sprint("n", i), uid: uid(i)}
			for j := range n {
				if i != j && rapid.IntRange(0, 2).Draw(t, "owned") == 0 {
					block := rapid.Bool().Draw(t, "block")
					o.owners = append(o.owners, metav1.OwnerReference{APIVersion: "v1", Kind: "Thing", Name: fmt.Sprint("n", j), UID: uid(j), BlockOwnerDeletion: &block})
				}
			}
			w.put(o)
		}
		w.settle()
		if len(w.objects) != n {
			t.Fatalf("%d of %d left although nothing was deleted", len(w.objects), n)
		}
		for range rapid.IntRange(1, 3).Draw(t, "deletions") {
			victim := uid(rapid.IntRange(0, n-1).Draw(t, "victim"))
			if w.objects[victim] == nil {
				continue
			}
			w.delete(victim, rapid.SampledFrom([]metav1.DeletionPropagation{
				metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}).Draw(t, "policy"))
		}
		w.settle()
		w.checkSettled()
	})
}

func (w *world) checkSettled() {
	for _, n := range w.objects {
		if n.deleting {
			w.t.Fatalf("%s still waits to be deleted: %v", n.name, n.finalizers)
		}
		alive := len(n.owners) == 0
		for _, ref := range n.owners {
			alive = alive || w.objects[ref.UID] != nil
		}
		if !alive {
			w.t.Fatalf("%s has lost all its owners and is still there", n.name)
		}
	}
}

// Orphaning leaves the dependents as they are, but for the reference.
func TestOrphan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.put(&node{kind: thing, namespace: "ns", name: "owner", uid: "o"})
		n := rapid.IntRange(0, 5).Draw(t, "dependents")
		for i := range n {
			w.put(&node{kind: thing, namespace: "ns", name: fmt.Sprint("d", i), uid: types.UID(fmt.Sprint("d", i)),
				owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Thing", Name: "owner", UID: "o"}}})
		}
		w.settle()
		w.delete("o", metav1.DeletePropagationOrphan)
		w.settle()
		if len(w.objects) != n {
			t.Fatalf("%d objects left, want %d", len(w.objects), n)
		}
		for _, d := range w.objects {
			if len(d.owners) != 0 {
				t.Fatalf("%s still refers to %v", d.name, d.owners)
			}
		}
	})
}

// In the foreground a blocking dependent goes before its owner.
func TestForeground(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		yes := true
		w.put(&node{kind: thing, namespace: "ns", name: "owner", uid: "o"})
		w.put(&node{kind: thing, namespace: "ns", name: "d", uid: "d", finalizers: []string{"example.com/hold"},
			owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Thing", Name: "owner", UID: "o", BlockOwnerDeletion: &yes}}})
		w.settle()
		w.delete("o", metav1.DeletePropagationForeground)
		w.settle()
		if w.objects["o"] == nil || w.objects["d"] == nil || !w.objects["d"].deleting {
			t.Fatal("the owner has to wait for the dependent, which is held by its finalizer")
		}
		w.drop("d")
		w.settle()
		if len(w.objects) != 0 {
			t.Fatal("the owner is still there although nothing blocks it")
		}
	})
}
