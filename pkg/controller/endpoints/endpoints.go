// Package endpoints keeps the Endpoints object of each Service with a selector: the list of its pods in the form from before
// EndpointSlices. The API is deprecated and nothing in this cluster reads it, but `kubectl get endpoints` and older
// programs do.
//
// One object has the whole list, of one address family, so it is cut off at 1000 addresses and marked as over capacity. Pods
// that end are not in it at all. It has no owner: it shares its Service's name, and goes with it by this controller.
package endpoints

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	endpointutil "k8s.io/endpointslice/util"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	core := c.Informers.Core().V1()
	o := observer{core.Services().Lister(), core.Pods().Lister(), core.Endpoints().Lister()}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "endpoint-controller",
		Queue:   "endpoint",
		Workers: 5,
		Kinds: []reconcile.Resource{
			reconcile.For(core.Endpoints().Informer(), func(ns string) reconcile.Client[*corev1.Endpoints] { return c.Client.CoreV1().Endpoints(ns) }),
		},
		Sources: []reconcile.Source{
			{Informer: core.Services().Informer(), Keys: reconcile.Self},
			{Informer: core.Pods().Informer(), Keys: o.ofPod, Changed: podChanged},
			{Informer: core.Endpoints().Informer(), Keys: reconcile.Self},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

type observer struct {
	services  corelisters.ServiceLister
	pods      corelisters.PodLister
	endpoints corelisters.EndpointsLister
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	s.endpoints, _ = o.endpoints.Endpoints(key.Namespace).Get(key.Name)
	s.service, _ = o.services.Services(key.Namespace).Get(key.Name)
	if s.service == nil {
		return s, s.endpoints != nil, nil
	}
	if s.service.Spec.Selector == nil || s.service.Spec.Type == corev1.ServiceTypeExternalName {
		return s, false, nil
	}
	s.pods, err = o.pods.Pods(key.Namespace).List(labels.SelectorFromSet(s.service.Spec.Selector))
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

// podChanged says whether what is listed of a pod changed.
func podChanged(old, next reconcile.Object) bool {
	a, b := old.(*corev1.Pod), next.(*corev1.Pod)
	return endpointutil.IsPodReady(a) != endpointutil.IsPodReady(b) ||
		(a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) ||
		a.Status.Phase != b.Status.Phase || a.Spec.NodeName != b.Spec.NodeName ||
		!equality.Semantic.DeepEqual(a.Status.PodIPs, b.Status.PodIPs) ||
		!equality.Semantic.DeepEqual(a.Labels, b.Labels)
}
