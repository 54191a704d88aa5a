// Package resourcequota keeps count of what a namespace uses of its ResourceQuotas. The API server adds what is created, in the
// transaction that creates it; this controller takes note of what a quota's spec limits, counts what was there before, and gives back
// what has gone: a pod that was deleted or has ended, a claim that was made smaller.
//
// It counts everything anew rather than subtract, so that a mistake does not last. That is safe only if it counts all that the quota has
// been charged for: a count from a cache that lags behind would forget pods that were just made, and let as many again pass.
// A quota's resourceVersion is that of its last charge, and the charge was written together with its object. So if what is counted
// is at least as new as the quota, nothing is missing; and if something was charged since, the write of the status is a conflict, and all
// begins anew. Pods and services come from the informers that others use too, if those are new enough; what is not in a cache is
// asked of the API server: the objects themselves, where it matters what they are, or else only how many.
//
// A quota is counted when it changes, though not when it is charged; when an object that it counts goes, or uses less than before
// (watches.go); when a pod that will not end is no longer waited for; and every five minutes, as upstream.
package resourcequota

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/quota"
	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
	// Metadata lists and watches objects of any kind.
	Metadata metadata.Interface
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	core := c.Informers.Core().V1()
	o := observer{
		client: c.Client, metadata: c.Metadata, quotas: core.ResourceQuotas().Lister(),
		pods: core.Pods().Informer(), services: core.Services().Informer(),
	}
	o.watches = &watches{Config: c, quotas: o.quotas, running: map[schema.GroupResource]*watch{}}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "resourcequota-controller",
		Queue:   "resourcequota_primary",
		Workers: 5,
		Kinds: []reconcile.Resource{
			reconcile.For(core.ResourceQuotas().Informer(), func(ns string) reconcile.Client[*corev1.ResourceQuota] {
				return c.Client.CoreV1().ResourceQuotas(ns)
			}),
		},
		Sources: []reconcile.Source{
			{Informer: core.ResourceQuotas().Informer(), Keys: reconcile.Self, Changed: limitsChanged},
		},
		Feed:    o.watches.feed(o.pods, o.services),
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// limitsChanged leaves out the charges. The first count takes note of the limits, and so is seen here and followed by another: until they are
// noted, nothing is charged for what is created.
func limitsChanged(old, next reconcile.Object) bool {
	was, is := old.(*corev1.ResourceQuota), next.(*corev1.ResourceQuota)
	return !equality.Semantic.DeepEqual(was.Spec, is.Spec) || !equality.Semantic.DeepEqual(was.Status.Hard, is.Status.Hard)
}

type observer struct {
	client         kubernetes.Interface
	metadata       metadata.Interface
	quotas         corelisters.ResourceQuotaLister
	pods, services cache.SharedIndexInformer
	watches        *watches
}

// observe finds what there is of all that a quota counts.
func (o observer) observe(ctx context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.quota, err = o.quotas.ResourceQuotas(key.Namespace).Get(key.Name); err != nil {
		return s, false, nil
	}
	for _, r := range quota.Counted(s.quota.Spec.Hard) {
		m, _ := quota.For(r)
		t := tally{meter: m}
		if t.objects, t.number, err = o.find(ctx, s.quota, r); errors.Is(err, errNotServed) {
			s.unknown = append(s.unknown, r)
			continue
		}
		if err != nil {
			return s, false, fmt.Errorf("count %s: %w", r, err)
		}
		s.tallies = append(s.tallies, t)
	}
	return s, true, nil
}

// find returns the objects of a resource or, where no more is needed, their number.
func (o observer) find(ctx context.Context, q *corev1.ResourceQuota, r schema.GroupResource) ([]quota.Object, int64, error) {
	all := metav1.ListOptions{ResourceVersion: q.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
	switch r.String() {
	case "pods":
		if covers(o.pods, q) {
			return cached(o.pods, q.Namespace)
		}
		list, err := o.client.CoreV1().Pods(q.Namespace).List(ctx, all)
		return items(list.Items, err)
	case "services":
		if covers(o.services, q) {
			return cached(o.services, q.Namespace)
		}
		list, err := o.client.CoreV1().Services(q.Namespace).List(ctx, all)
		return items(list.Items, err)
	}
	w, err := o.watches.of(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	switch r.String() {
	case "persistentvolumeclaims":
		list, err := o.client.CoreV1().PersistentVolumeClaims(q.Namespace).List(ctx, all)
		return items(list.Items, err)
	case "resourceclaims.resource.k8s.io":
		list, err := o.client.ResourceV1().ResourceClaims(q.Namespace).List(ctx, all)
		return items(list.Items, err)
	}
	n, err := number(ctx, o.metadata.Resource(w.resource).Namespace(q.Namespace))
	return nil, n, err
}

// covers tells whether a cache has all that the quota has been charged for.
func covers(i cache.SharedIndexInformer, q *corev1.ResourceQuota) bool {
	order, err := resourceversion.CompareResourceVersion(i.GetStore().LastStoreSyncResourceVersion(), q.ResourceVersion)
	return err == nil && order >= 0
}

func cached(i cache.SharedIndexInformer, namespace string) ([]quota.Object, int64, error) {
	found, err := reconcile.Indexed[reconcile.Object](i, cache.NamespaceIndex, namespace)
	out := make([]quota.Object, len(found))
	for n, o := range found {
		out[n] = o
	}
	return out, 0, err
}

// items are the elements of a list as objects.
func items[T any, P interface {
	*T
	quota.Object
}](list []T, err error) ([]quota.Object, int64, error) {
	out := make([]quota.Object, len(list))
	for i := range list {
		out[i] = P(&list[i])
	}
	return out, 0, err
}

// page is how many are asked for at once where the server does not say how many remain.
const page = 500

// number counts objects by asking for one of them: the server says how many remain.
func number(ctx context.Context, c metadata.ResourceInterface) (int64, error) {
	list, err := c.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	n := int64(len(list.Items))
	for list.Continue != "" {
		if list.RemainingItemCount != nil {
			return n + *list.RemainingItemCount, nil
		}
		if list, err = c.List(ctx, metav1.ListOptions{Limit: page, Continue: list.Continue}); err != nil {
			return 0, err
		}
		n += int64(len(list.Items))
	}
	return n, nil
}
