// Package endpointslice keeps for each Service with a selector the list of pods behind it, with their addresses and
// whether they may get traffic. Proxies, DNS and ingress controllers read these lists instead of looking for pods.
//
// A list is cut into slices of at most 100 endpoints, because it is sent to every node whenever it changes: with
// slices, one pod that becomes ready costs one slice. So a plan (plan.go) changes as few slices as it can: an endpoint
// stays where it is, removals leave holes, and additions go into slices that are written anyway, then into the one
// that they fill best, and only then into new ones (pack.go). Slices differ by address family and by ports: named target
// ports may resolve to other numbers in other pods.
//
// Whatever a pod's state is, it is listed while it has an address, and the conditions tell: ready, serving,
// terminating. A pod that ends is still serving; proxies fall back to such pods when nobody else is left.
//
// Slices belong to the Service by owner reference, so the garbage collector removes them with it. A Service without
// a selector has its slices made by someone else, and one of type ExternalName has none. The algorithm of
// k8s.io/endpointslice is not used, because it writes while it decides; the rules are the same. What is left out is the
// annotation with the time of the last trigger, which measures the delay of programming on large clusters.
package endpointslice

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	endpointutil "k8s.io/endpointslice/util"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// managedBy is the value of the label on slices that this controller keeps.
const managedBy = "endpointslice-controller.k8s.io"

// byService indexes the slices by their Service.
const byService = "endpointslice.service"

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	core, slices := c.Informers.Core().V1(), c.Informers.Discovery().V1().EndpointSlices().Informer()
	if err := reconcile.Index(slices, byService, serviceOf); err != nil {
		return err
	}
	o := observer{core.Services().Lister(), core.Pods().Lister(), core.Nodes().Lister(), slices}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "endpoint-slice-controller",
		Queue:   "endpoint_slice",
		Workers: 5,
		Kinds: []reconcile.Resource{
			reconcile.For(slices, func(ns string) reconcile.Client[*discoveryv1.EndpointSlice] {
				return c.Client.DiscoveryV1().EndpointSlices(ns)
			}),
		},
		Sources: []reconcile.Source{
			{Informer: core.Services().Informer(), Keys: reconcile.Self},
			{Informer: core.Pods().Informer(), Keys: o.ofPod, Changed: podChanged},
			{Informer: core.Nodes().Informer(), Keys: o.all, Changed: zoneChanged},
			{Informer: slices, Keys: keysOf},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// serviceOf is the index value of a slice: its Service, if the slice is this controller's.
func serviceOf(slice reconcile.Object) []string {
	var values []string
	for _, k := range keysOf(slice) {
		values = append(values, k.String())
	}
	return values
}

func keysOf(slice reconcile.Object) []reconcile.Key {
	l := slice.GetLabels()
	if l[discoveryv1.LabelManagedBy] != managedBy || l[discoveryv1.LabelServiceName] == "" {
		return nil
	}
	return []reconcile.Key{{Namespace: slice.GetNamespace(), Name: l[discoveryv1.LabelServiceName]}}
}

type observer struct {
	services corelisters.ServiceLister
	pods     corelisters.PodLister
	nodes    corelisters.NodeLister
	slices   cache.SharedIndexInformer
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.service, err = o.services.Services(key.Namespace).Get(key.Name); err != nil {
		return s, false, nil
	}
	if s.service.Spec.Selector == nil || s.service.Spec.Type == corev1.ServiceTypeExternalName {
		return s, false, nil
	}
	if s.pods, err = o.pods.Pods(key.Namespace).List(labels.SelectorFromSet(s.service.Spec.Selector)); err != nil {
		return s, false, err
	}
	s.nodes = map[string]*corev1.Node{}
	for _, pod := range s.pods {
		if node, err := o.nodes.Get(pod.Spec.NodeName); err == nil {
			s.nodes[node.Name] = node
		}
	}
	s.slices, err = reconcile.Indexed[*discoveryv1.EndpointSlice](o.slices, byService, key.String())
	return s, true, err
}

// ofPod are the Services whose selector matches the pod.
func (o observer) ofPod(pod reconcile.Object) []reconcile.Key {
	services, _ := o.services.Services(pod.GetNamespace()).List(labels.Everything())
	var keys []reconcile.Key
	for _, s := range services {
		if s.Spec.Selector != nil && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.GetLabels())) {
			keys = append(keys, reconcile.KeyOf(s))
		}
	}
	return keys
}

// all are all Services: a node that comes, goes or moves changes endpoints everywhere.
func (o observer) all(reconcile.Object) []reconcile.Key {
	services, _ := o.services.List(labels.Everything())
	keys := make([]reconcile.Key, 0, len(services))
	for _, s := range services {
		keys = append(keys, reconcile.KeyOf(s))
	}
	return keys
}

// podChanged says whether what is listed of a pod changed. Most updates of pods do not.
func podChanged(old, next reconcile.Object) bool {
	a, b := old.(*corev1.Pod), next.(*corev1.Pod)
	return endpointutil.IsPodReady(a) != endpointutil.IsPodReady(b) ||
		(a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) ||
		a.Status.Phase != b.Status.Phase || a.Spec.NodeName != b.Spec.NodeName ||
		!equality.Semantic.DeepEqual(a.Status.PodIPs, b.Status.PodIPs) ||
		!equality.Semantic.DeepEqual(a.Labels, b.Labels)
}

func zoneChanged(old, next reconcile.Object) bool {
	return old.GetLabels()[corev1.LabelTopologyZone] != next.GetLabels()[corev1.LabelTopologyZone]
}
