package resourcequota

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/quota"
	"bonsai/pkg/reconcile"
)

// patience is how long a count waits for the watch that will tell when it is no longer true.
const patience = 10 * time.Second

var errNotServed = errors.New("nobody serves it")

// watches wake quotas when objects go that they count. Pods and services are watched anyway; other resources only once a quota
// counts them, by their metadata. That something came is no reason to wake: it has been charged.
type watches struct {
	Config
	quotas corelisters.ResourceQuotaLister

	add func(reconcile.Key)
	run context.Context // of all watches

	mu      sync.Mutex
	running map[schema.GroupResource]*watch
}

// watch is one resource that is watched by its metadata.
type watch struct {
	resource schema.GroupVersionResource
	synced   cache.InformerSynced
}

// feed adds handlers to the informers that there are.
func (w *watches) feed(pods, services cache.SharedIndexInformer) func(context.Context, func(reconcile.Key)) error {
	return func(ctx context.Context, add func(reconcile.Key)) error {
		w.add, w.run = add, ctx
		for r, i := range map[string]cache.SharedIndexInformer{"pods": pods, "services": services} {
			if _, err := i.AddEventHandler(w.handler(schema.GroupResource{Resource: r})); err != nil {
				return err
			}
		}
		w.Informers.Start(ctx.Done()) // if nobody had asked for one of them yet
		cache.WaitForCacheSync(ctx.Done(), pods.HasSynced, services.HasSynced)
		return nil
	}
}

func (w *watches) handler(r schema.GroupResource) cache.ResourceEventHandler {
	m, _ := quota.For(r)
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(old, next any) {
			for _, q := range w.counting(r, old) {
				if usesLess(m, q, old.(quota.Object), next.(quota.Object)) {
					w.add(reconcile.KeyOf(q))
				}
			}
		},
		DeleteFunc: func(item any) {
			if gone, ok := item.(cache.DeletedFinalStateUnknown); ok {
				item = gone.Obj
			}
			w.wake(r, item)
		},
	}
}

// counting are the quotas that count objects like this one. Most namespaces have none, and pods change all the time.
func (w *watches) counting(r schema.GroupResource, item any) (out []*corev1.ResourceQuota) {
	o, ok := item.(quota.Object)
	if !ok {
		return nil
	}
	all, _ := w.quotas.ResourceQuotas(o.GetNamespace()).List(labels.Everything())
	for _, q := range all {
		if slices.Contains(quota.Counted(q.Spec.Hard), r) {
			out = append(out, q)
		}
	}
	return out
}

func (w *watches) wake(r schema.GroupResource, item any) {
	for _, q := range w.counting(r, item) {
		w.add(reconcile.KeyOf(q))
	}
}

// usesLess tells whether an object may use less of q than before, or will: a pod that is given a deadline is in other scopes, and one that is
// being deleted has a time after which it does not count. Of what only its metadata is known of, any change may mean that.
func usesLess(m quota.Meter, q *corev1.ResourceQuota, old, next quota.Object) bool {
	if _, bare := next.(*metav1.PartialObjectMetadata); bare {
		return !m.IsObjectCount()
	}
	now := time.Now()
	return (old.GetDeletionTimestamp() == nil) != (next.GetDeletionTimestamp() == nil) || !quota.Equal(m.Count(q, []quota.Object{old}, now), m.Count(q, []quota.Object{next}, now))
}

// of returns the watch of a resource, and begins it if it is the first that is heard of it.
func (w *watches) of(ctx context.Context, r schema.GroupResource) (*watch, error) {
	one, err := w.begin(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cache.WaitForCacheSync(ctx.Done(), one.synced)
	return one, nil
}

func (w *watches) begin(r schema.GroupResource) (*watch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.running[r]; one != nil {
		return one, nil
	}
	gvr, err := w.served(r)
	if err != nil {
		return nil, err
	}
	i := metadatainformer.NewFilteredMetadataInformer(w.Metadata, gvr, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	if err := i.SetTransform(bare); err != nil {
		return nil, err
	}
	if _, err := i.AddEventHandler(w.handler(r)); err != nil {
		return nil, err
	}
	one := &watch{resource: gvr, synced: i.HasSynced}
	w.running[r] = one
	go i.RunWithContext(w.run)
	return one, nil
}

// bare drops all but the name.
func bare(item any) (any, error) {
	if m, ok := item.(*metav1.PartialObjectMetadata); ok {
		m.ManagedFields, m.Annotations, m.Labels, m.OwnerReferences, m.Finalizers = nil, nil, nil, nil, nil
	}
	return item, nil
}

// served finds the version by which a resource is listed.
func (w *watches) served(r schema.GroupResource) (schema.GroupVersionResource, error) {
	lists, err := discovery.ServerPreferredNamespacedResources(w.Client.Discovery())
	for _, list := range lists {
		gv, bad := schema.ParseGroupVersion(list.GroupVersion)
		if bad != nil || gv.Group != r.Group {
			continue
		}
		for _, each := range list.APIResources {
			if each.Name == r.Resource && slices.Contains(each.Verbs, "list") && slices.Contains(each.Verbs, "watch") {
				return gv.WithResource(r.Resource), nil
			}
		}
	}
	if failed := (*discovery.ErrGroupDiscoveryFailed)(nil); err != nil && !errors.As(err, &failed) {
		return schema.GroupVersionResource{}, err
	}
	return schema.GroupVersionResource{}, errNotServed
}
