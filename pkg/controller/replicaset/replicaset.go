// Package replicaset keeps a number of pods of one template in existence. It counts the pods that are its own and not
// finished; if there are too few it makes more, if too many it deletes some, and it writes down what it counted.
//
// Pods are its own by their controller reference. Pods that match its selector and have no controller are adopted, pods whose
// labels were changed are released: that is how one takes a pod out of service to look at it, and gets a new one in its
// place (reconcile.Claim).
//
// Which pods to delete is a matter of what is lost with them (victims.go): those not yet running go before those that are ready,
// and of those that are equal the one on the node with most siblings.
//
// Upstream counts the creations and deletions it expects to see; here the kit waits until the cache shows them, which says the
// same without counting. Upstream's status comes after the pods and is told of their failure; here the status comes
// first in the plan, and a failure is in the status of the next, so it is written even if nothing else succeeds.
package replicaset

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	sets, pods := c.Informers.Apps().V1().ReplicaSets(), c.Informers.Core().V1().Pods().Informer()
	if err := reconcile.Index(pods, byController, controllerOf); err != nil {
		return err
	}
	o := observer{sets.Lister(), pods}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "replicaset-controller",
		Queue:   "replicaset",
		Workers: 5,
		Kinds: []reconcile.Resource{
			reconcile.For(sets.Informer(), func(ns string) reconcile.Client[*appsv1.ReplicaSet] { return c.Client.AppsV1().ReplicaSets(ns) }),
			reconcile.For(pods, func(ns string) reconcile.Client[*corev1.Pod] { return c.Client.CoreV1().Pods(ns) }),
		},
		Sources: []reconcile.Source{
			{Informer: sets.Informer(), Keys: reconcile.Self},
			{Informer: pods, Keys: o.ofPod},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// byController indexes pods by the UID of their controller, those without one by namespace.
const byController = "replicaset.controller"

func controllerOf(pod reconcile.Object) []string {
	if ref := metav1.GetControllerOf(pod); ref != nil {
		return []string{string(ref.UID)}
	}
	return []string{orphans(pod.GetNamespace())}
}

func orphans(namespace string) string { return "orphans/" + namespace }

type observer struct {
	sets appslisters.ReplicaSetLister
	pods cache.SharedIndexInformer
}

// observe collects the pods that are the set's or could be, and those of the sets beside it.
func (o observer) observe(_ context.Context, key reconcile.Key, last *reconcile.Failure) (s state, found bool, err error) {
	s.failure = last
	if s.set, err = o.sets.ReplicaSets(key.Namespace).Get(key.Name); err != nil {
		return s, false, nil
	}
	own, err := reconcile.Indexed[*corev1.Pod](o.pods, byController, string(s.set.UID))
	if err != nil {
		return s, false, err
	}
	free, err := reconcile.Indexed[*corev1.Pod](o.pods, byController, orphans(key.Namespace))
	if err != nil {
		return s, false, err
	}
	s.pods = append(own, free...)
	s.beside, err = o.beside(s.set)
	return s, true, err
}

// beside are the pods of the other ReplicaSets of the same deployment: they too crowd a node.
func (o observer) beside(set *appsv1.ReplicaSet) ([]*corev1.Pod, error) {
	owner := metav1.GetControllerOf(set)
	if owner == nil {
		return nil, nil
	}
	all, err := o.sets.ReplicaSets(set.Namespace).List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var pods []*corev1.Pod
	for _, other := range all {
		ref := metav1.GetControllerOf(other)
		if other.UID == set.UID || ref == nil || ref.UID != owner.UID {
			continue
		}
		theirs, err := reconcile.Indexed[*corev1.Pod](o.pods, byController, string(other.UID))
		if err != nil {
			return nil, err
		}
		pods = append(pods, theirs...)
	}
	return pods, nil
}

// ofPod is the set that controls a pod, or those that might adopt it.
func (o observer) ofPod(pod reconcile.Object) []reconcile.Key {
	if metav1.GetControllerOf(pod) != nil {
		return reconcile.Owner("ReplicaSet")(pod)
	}
	all, _ := o.sets.ReplicaSets(pod.GetNamespace()).List(labels.Everything())
	var keys []reconcile.Key
	for _, set := range all {
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.GetLabels())) {
			keys = append(keys, reconcile.KeyOf(set))
		}
	}
	return keys
}
