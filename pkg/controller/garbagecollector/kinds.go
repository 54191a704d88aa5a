package garbagecollector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

const (
	// patience is how long the start waits for all kinds; one whose server does not answer must not hold up the others.
	patience = 30 * time.Second
	// settle is how long a new kind is given until it is served, retry how long a failed discovery.
	settle = time.Second
	retry  = 10 * time.Second
)

// kinds watches all kinds that can be deleted and feeds the graph. Kinds come and go with custom resource definitions and API
// services, which are objects like others: when one changes, discovery is read again.
type kinds struct {
	Config
	graph   *graph
	changed chan struct{}

	mu     sync.Mutex
	known  map[schema.GroupKind]*kind
	add    func(reconcile.Key)
	synced bool
}

// feed starts watching, and keeps at it until the context ends. It returns when the graph is complete enough to begin: what is
// missing costs a question to the API server, not an object.
func (k *kinds) feed(ctx context.Context, add func(reconcile.Key)) error {
	k.add = add
	wait, err := k.refresh(ctx)
	if err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cache.WaitForCacheSync(first.Done(), wait...)
	k.mu.Lock()
	k.synced = true
	k.mu.Unlock()
	k.wake(k.graph.all())
	go k.follow(ctx)
	return nil
}

// follow reads discovery again when it may have changed.
func (k *kinds) follow(ctx context.Context) {
	pause := settle
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = settle
		if _, err := k.refresh(ctx); err != nil {
			pause = retry
			k.rediscover()
			continue
		}
		k.wake(k.graph.all())
	}
}

func (k *kinds) rediscover() {
	select {
	case k.changed <- struct{}{}:
	default: // it is noted already
	}
}

// refresh compares what is served with what is watched. Groups whose server does not answer stay as they are.
func (k *kinds) refresh(ctx context.Context) (wait []cache.InformerSynced, err error) {
	lists, err := discovery.ServerPreferredResources(k.Client.Discovery())
	failed := (*discovery.ErrGroupDiscoveryFailed)(nil)
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	served := collectable(lists)
	k.mu.Lock()
	defer k.mu.Unlock()
	for gk, old := range k.known {
		if served[gk] == nil && (failed == nil || !answersNot(failed, gk.Group)) {
			old.stop()
			k.graph.removeKind(old)
			delete(k.known, gk)
		}
	}
	for gk, n := range served {
		if k.known[gk] == nil {
			synced, err := k.watch(ctx, n)
			if err != nil {
				return nil, err
			}
			k.known[gk] = n
			wait = append(wait, synced)
		}
	}
	k.Informers.Start(ctx.Done()) // those of the shared ones that nobody had asked for yet
	return wait, nil
}

func answersNot(f *discovery.ErrGroupDiscoveryFailed, group string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(f.Groups)), func(gv schema.GroupVersion) bool { return gv.Group == group })
}

// collectable are the kinds that can be listed, watched and deleted. Events are left out: there are many, none has an
// owner, and they go by themselves.
func collectable(lists []*metav1.APIResourceList) map[schema.GroupKind]*kind {
	found := map[schema.GroupKind]*kind{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if r.Kind == "Event" || !has(r.Verbs, "list") || !has(r.Verbs, "watch") || !has(r.Verbs, "delete") {
				continue
			}
			found[schema.GroupKind{Group: gv.Group, Kind: r.Kind}] = &kind{
				GroupVersionKind: gv.WithKind(r.Kind), resource: gv.WithResource(r.Name), namespaced: r.Namespaced}
		}
	}
	return found
}

// watch feeds the graph with a kind's objects: from the informer that others use too, or else from one of its own, which keeps
// metadata only.
func (k *kinds) watch(ctx context.Context, n *kind) (cache.InformerSynced, error) {
	if slices.Contains(k.Watched, n.resource) {
		shared, err := k.Informers.ForResource(n.resource)
		if err != nil {
			return nil, err
		}
		return k.handle(shared.Informer(), n, func() {})
	}
	i := metadatainformer.NewFilteredMetadataInformer(k.Metadata, n.resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	if err := i.SetTransform(bare); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	synced, err := k.handle(i, n, cancel)
	if err != nil {
		cancel()
		return nil, err
	}
	go i.RunWithContext(ctx)
	return synced, nil
}

// bare drops what the graph does not need.
func bare(item any) (any, error) {
	if m, ok := item.(*metav1.PartialObjectMetadata); ok {
		m.ManagedFields, m.Annotations, m.Labels = nil, nil, nil
	}
	return item, nil
}

func (k *kinds) handle(i cache.SharedIndexInformer, n *kind, cancel func()) (cache.InformerSynced, error) {
	registration, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(item any) { k.set(n, item) },
		UpdateFunc: func(_, item any) { k.set(n, item) },
		DeleteFunc: func(item any) { k.remove(n, item) },
	})
	if err != nil {
		return nil, err
	}
	n.stop = func() {
		_ = i.RemoveEventHandler(registration)
		cancel()
	}
	return registration.HasSynced, nil
}

func (k *kinds) set(n *kind, item any) {
	o := item.(reconcile.Object)
	k.wake(k.graph.set(&node{
		kind: n, namespace: o.GetNamespace(), name: o.GetName(), uid: o.GetUID(), version: o.GetResourceVersion(),
		owners: o.GetOwnerReferences(), finalizers: o.GetFinalizers(), deleting: o.GetDeletionTimestamp() != nil,
	}))
	k.served(n)
}

func (k *kinds) remove(n *kind, item any) {
	if gone, ok := item.(cache.DeletedFinalStateUnknown); ok {
		item = gone.Obj
	}
	k.wake(k.graph.remove(item.(reconcile.Object).GetUID()))
	k.served(n)
}

// served notes that what is served may have changed.
func (k *kinds) served(n *kind) {
	switch n.GroupKind() {
	case schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
		schema.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}:
		k.rediscover()
	}
}

// wake has the objects looked at, but not while the graph is being filled: then every dependent that comes before its owner would
// be looked at for nothing.
func (k *kinds) wake(uids []types.UID) {
	k.mu.Lock()
	synced := k.synced
	k.mu.Unlock()
	for _, uid := range uids {
		if synced {
			k.add(reconcile.Key{Name: string(uid)})
		}
	}
}

func (k *kinds) find(gk schema.GroupKind) *kind {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[gk]
}

func (k *kinds) get(ctx context.Context, n *kind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	if namespace == "" {
		return k.Metadata.Resource(n.resource).Get(ctx, name, metav1.GetOptions{})
	}
	return k.Metadata.Resource(n.resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}
