// Package deployment rolls pod templates out. A Deployment says which pods there should be and how many; it never
// makes a pod. It keeps one ReplicaSet per template it has ever had, up to a limit, and does no more than move
// numbers between them: up in the newest, down in the older ones, never so far that fewer pods than promised
// are available or more than allowed exist.
//
// Which ReplicaSet belongs to the present template is found by comparing templates, not by a counter; so going
// back to an earlier template, which is all that `kubectl rollout undo` does, finds the earlier ReplicaSet again. The name
// is the Deployment's and a hash of the template, the same that upstream computes. The history is in annotations:
// each ReplicaSet carries its revision, and one that comes back gets a new revision and remembers the old ones.
//
// One plan does one careful step (plan.go): first the new set grows into the surge that is allowed, then old sets shrink by what
// the pods that are available permit; the next plan waits for what the pods report. Changing the number of replicas in
// the middle of a rollout spreads the difference over the sets in proportion (scale.go). The status says where it
// is in conditions, whose reasons `kubectl rollout status` reads (status.go).
//
// It is simpler than upstream in two ways. Upstream writes while it decides, up to five times in one turn; here all
// decisions are made on copies, and each object is written once. And the rollback of the extensions/v1beta1 API,
// which no client of apps/v1 uses, is not here.
package deployment

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	o := newObserver(c.Informers)
	deployments, sets := c.Informers.Apps().V1().Deployments().Informer(), c.Informers.Apps().V1().ReplicaSets().Informer()
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "deployment-controller",
		Queue:   "deployment",
		Workers: 5,
		Kinds: []reconcile.Resource{
			reconcile.For(deployments, func(ns string) reconcile.Client[*appsv1.Deployment] { return c.Client.AppsV1().Deployments(ns) }),
			reconcile.For(sets, func(ns string) reconcile.Client[*appsv1.ReplicaSet] { return c.Client.AppsV1().ReplicaSets(ns) }),
		},
		Sources: []reconcile.Source{
			{Informer: deployments, Keys: reconcile.Self},
			{Informer: sets, Keys: o.ofReplicaSet},
			{Informer: c.Informers.Core().V1().Pods().Informer(), Keys: o.ofPod, Changed: ended},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// observer reads the caches.
type observer struct {
	deployments appslisters.DeploymentLister
	replicaSets appslisters.ReplicaSetLister
	pods        corelisters.PodLister
}

func newObserver(f informers.SharedInformerFactory) observer {
	return observer{f.Apps().V1().Deployments().Lister(), f.Apps().V1().ReplicaSets().Lister(), f.Core().V1().Pods().Lister()}
}

// observe collects the state. Pods are only looked at for the Recreate strategy, which has to wait for them to be gone.
func (o observer) observe(_ context.Context, key reconcile.Key, last *reconcile.Failure) (s state, found bool, err error) {
	s.failure = last
	if s.deployment, err = o.deployments.Deployments(key.Namespace).Get(key.Name); err != nil {
		return s, false, nil // gone: the garbage collector sees to the ReplicaSets
	}
	if s.replicaSets, err = o.replicaSets.ReplicaSets(key.Namespace).List(labels.Everything()); err != nil {
		return s, false, err
	}
	if s.deployment.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		selector, err := metav1.LabelSelectorAsSelector(s.deployment.Spec.Selector)
		if err != nil {
			return s, false, err
		}
		s.pods, err = o.pods.Pods(key.Namespace).List(selector)
		return s, true, err
	}
	return s, true, nil
}

// ofReplicaSet is the Deployment that controls a ReplicaSet, or those that might adopt it.
func (o observer) ofReplicaSet(rs reconcile.Object) []reconcile.Key {
	if metav1.GetControllerOf(rs) != nil {
		return reconcile.Owner("Deployment")(rs)
	}
	all, _ := o.deployments.Deployments(rs.GetNamespace()).List(labels.Everything())
	var keys []reconcile.Key
	for _, d := range all {
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(rs.GetLabels())) {
			keys = append(keys, reconcile.KeyOf(d))
		}
	}
	return keys
}

// ofPod is the Deployment above a pod's ReplicaSet if it recreates, because that one waits for its old pods to end.
func (o observer) ofPod(pod reconcile.Object) []reconcile.Key {
	ref := metav1.GetControllerOf(pod)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return nil
	}
	rs, err := o.replicaSets.ReplicaSets(pod.GetNamespace()).Get(ref.Name)
	if err != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, k := range reconcile.Owner("Deployment")(rs) {
		d, err := o.deployments.Deployments(k.Namespace).Get(k.Name)
		if err == nil && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			keys = append(keys, k)
		}
	}
	return keys
}

// ended says whether a pod's phase changed; its removal wakes the loop in any case.
func ended(old, next reconcile.Object) bool {
	return old.(*corev1.Pod).Status.Phase != next.(*corev1.Pod).Status.Phase
}
