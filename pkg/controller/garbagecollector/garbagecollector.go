// Package garbagecollector deletes what has lost its owners. An object names its owners in metadata.ownerReferences; when
// the last of them is gone the object goes too, and so a Deployment takes its ReplicaSets with it, and those their
// Pods, of which the Deployment knows nothing.
//
// How the owner wants to go is told by finalizers, which the API server sets from the propagation policy of the delete request:
//
//	Background   none: the owner is gone at once, its dependents follow
//	Foreground   foregroundDeletion: the owner stays until those dependents are gone that block it (blockOwnerDeletion)
//	Orphan       orphan: the dependents lose their reference first, and stay
//
// The controller watches the metadata, and only that, of every kind that can be deleted (kinds.go), and keeps of it the
// graph of who owns whom (graph.go). The graph says what to look at: objects with an owner that is missing or waits for them, and owners
// that wait. What to do with one object is a plan of its own (plan.go).
//
// The graph is always a little old, and a mistake would destroy what people made. So three things are asked of the API server
// itself: an owner that the graph does not have is looked up before it counts as absent, and under the same UID, because one of the same
// name may be another; every deletion carries the UID and the resourceVersion that the plan was made from, so that an
// object which was given a new owner in the meantime stays; and so do the patches. If the kind of an owner is not known, the
// object stays.
//
// References stay within a namespace: an owner is looked for in the namespace of its dependent, or among the kinds without
// namespaces. An object without a namespace cannot be owned by one in a namespace; it stays, and an event says so.
package garbagecollector

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
	// Metadata lists, watches and writes the metadata of objects of any kind.
	Metadata metadata.Interface
	// Watched are kinds that the shared Informers hold anyway. They are not watched a second time.
	Watched []schema.GroupVersionResource
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	g := newGraph()
	k := &kinds{Config: c, graph: g, known: map[schema.GroupKind]*kind{}, changed: make(chan struct{}, 1)}
	o := observer{graph: g, kind: k.find, get: k.get}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "garbage-collector-controller",
		Queue:   "garbage_collector_attempt_to_delete",
		Workers: 10,
		Kinds:   []reconcile.Resource{resource{c.Metadata}},
		Feed:    k.feed,
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// observer makes the state of one object out of the graph, and asks the API server for owners that the graph has not.
type observer struct {
	graph *graph
	kind  func(schema.GroupKind) *kind
	get   func(ctx context.Context, k *kind, namespace, name string) (*metav1.PartialObjectMetadata, error)
}

func (o observer) observe(ctx context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	s, found = o.graph.state(types.UID(key.Name))
	if !found {
		return s, false, nil
	}
	if s.item.deleting { // then its owners do not matter any more
		return s, true, nil
	}
	for i := range s.owners {
		if s.owners[i].verdict != unseen {
			continue
		}
		if err := o.verify(ctx, s.item, &s.owners[i]); err != nil {
			return s, false, err
		}
	}
	return s, true, nil
}

// verify asks the API server for an owner.
func (o observer) verify(ctx context.Context, item *node, w *owner) error {
	gv, err := schema.ParseGroupVersion(w.ref.APIVersion)
	k := o.kind(schema.GroupKind{Group: gv.Group, Kind: w.ref.Kind})
	switch {
	case err != nil || k == nil:
		w.verdict = unknown
		return nil
	case k.namespaced && item.namespace == "":
		w.verdict = impossible
		return nil
	}
	namespace := ""
	if k.namespaced {
		namespace = item.namespace
	}
	live, err := o.get(ctx, k, namespace, w.ref.Name)
	switch {
	case apierrors.IsNotFound(err) || err == nil && live.UID != w.ref.UID:
		w.verdict = absent
	case err != nil:
		return fmt.Errorf("look for owner %s %s: %w", w.ref.Kind, w.ref.Name, err)
	default:
		w.verdict = present
		if live.DeletionTimestamp != nil && has(live.Finalizers, metav1.FinalizerDeleteDependents) {
			w.verdict = waiting
		}
	}
	return nil
}

// resource writes objects of any kind by their metadata.
type resource struct{ metadata metadata.Interface }

// object is metadata and where it is served.
type object struct {
	*metav1.PartialObjectMetadata
	resource schema.GroupVersionResource
}

func (r resource) Handles(o reconcile.Object) bool { _, ok := o.(object); return ok }

// Informer is nil: nothing has to be waited for, because everything that is written names the version it was planned from.
func (r resource) Informer() cache.SharedIndexInformer { return nil }

// Write sends the action to the server.
func (r resource) Write(ctx context.Context, a reconcile.Action) (reconcile.Object, error) {
	o := a.Object.(object)
	client := metadata.ResourceInterface(r.metadata.Resource(o.resource))
	if o.Namespace != "" {
		client = r.metadata.Resource(o.resource).Namespace(o.Namespace)
	}
	switch a.Verb {
	case reconcile.Delete:
		return nil, client.Delete(ctx, o.Name, reconcile.DeleteOptions(a))
	case reconcile.Patch:
		_, err := client.Patch(ctx, o.Name, types.MergePatchType, a.Patch, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			err = nil
		}
		return nil, err
	}
	return nil, errors.New("only metadata is known of it")
}
