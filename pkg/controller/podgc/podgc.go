// Package podgc removes the pods that nobody else will: those bound to nodes that are gone, those that are deleted before they
// got a node, those that end on a node that was declared out of service, and the oldest of the finished when there are
// too many. For all of them there is no kubelet to say that they have ended, so they are removed at once, without grace.
//
// Upstream walks over all pods every 20 seconds. Here two loops are woken by events: one by node, over the pods that name it, the
// other over all that are finished. That a node is gone is believed when it has been missing from the cache for 40
// seconds and the API server says so too: a node that registers anew must not cost its pods.
package podgc

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

const (
	byNode   = "pods.node"
	byPhase  = "podgc.finished"
	finished = "yes"
)

// Run runs both loops until the context ends.
func Run(ctx context.Context, c Config) error {
	pods, nodes := c.Informers.Core().V1().Pods().Informer(), c.Informers.Core().V1().Nodes()
	if err := reconcile.Index(pods, byNode, nodeOf); err != nil {
		return err
	}
	if err := reconcile.Index(pods, byPhase, finishedOf); err != nil {
		return err
	}
	kinds := []reconcile.Resource{
		reconcile.For(pods, func(ns string) reconcile.Client[*corev1.Pod] { return c.Client.CoreV1().Pods(ns) }),
	}
	o := &observer{client: c.Client, nodes: nodes.Lister(), pods: pods, missing: map[string]time.Time{}}
	lost := &reconcile.Loop[state]{
		Env: c.Env, Name: "pod-garbage-collector", Queue: "orphaned_pods_nodes", Kinds: kinds, Observe: o.observe, Plan: plan,
		Sources: []reconcile.Source{
			{Informer: pods, Keys: keyOfNode, Changed: placeChanged},
			{Informer: nodes.Informer(), Keys: reconcile.Self, Changed: taintsChanged},
		},
	}
	many := &reconcile.Loop[[]*corev1.Pod]{
		Env: c.Env, Name: "pod-garbage-collector-finished", Kinds: kinds, Observe: o.observeFinished, Plan: planFinished,
		Sources: []reconcile.Source{{Informer: pods, Keys: keyOfFinished}},
	}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return lost.Run(ctx) })
	both.Go(func() error { return many.Run(ctx) })
	return both.Wait()
}

func nodeOf(o reconcile.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }

func keyOfNode(o reconcile.Object) []reconcile.Key {
	return []reconcile.Key{{Name: o.(*corev1.Pod).Spec.NodeName}}
}

func placeChanged(old, next reconcile.Object) bool {
	a, b := old.(*corev1.Pod), next.(*corev1.Pod)
	return a.Spec.NodeName != b.Spec.NodeName || (a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil)
}

func taintsChanged(old, next reconcile.Object) bool {
	return outOfService(old.(*corev1.Node)) != outOfService(next.(*corev1.Node))
}

func finishedOf(o reconcile.Object) []string {
	if ended(o.(*corev1.Pod)) {
		return []string{finished}
	}
	return nil
}

func keyOfFinished(o reconcile.Object) []reconcile.Key {
	if ended(o.(*corev1.Pod)) {
		return []reconcile.Key{{Name: "finished"}}
	}
	return nil
}

type observer struct {
	client kubernetes.Interface
	nodes  corelisters.NodeLister
	pods   cache.SharedIndexInformer

	mu sync.Mutex
	// missing is since when nodes that pods name have not been in the cache.
	missing map[string]time.Time
}

// observe collects the pods that name a node, and what is known of it. The key without a name stands for no node yet.
func (o *observer) observe(ctx context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	s.name = key.Name
	if s.pods, err = reconcile.Indexed[*corev1.Pod](o.pods, byNode, key.Name); err != nil || key.Name == "" {
		return s, err == nil, err
	}
	s.node, _ = o.nodes.Get(key.Name)
	s.missing = o.since(key.Name, s.node == nil && len(s.pods) > 0)
	if !s.missing.IsZero() && time.Since(s.missing) >= quarantine {
		_, err := o.client.CoreV1().Nodes().Get(ctx, key.Name, metav1.GetOptions{})
		s.gone = apierrors.IsNotFound(err)
		if err != nil && !s.gone {
			return s, false, err
		}
	}
	return s, true, nil
}

// since notes that a node is missing, or forgets it.
func (o *observer) since(node string, missing bool) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !missing {
		delete(o.missing, node)
		return time.Time{}
	}
	if o.missing[node].IsZero() {
		o.missing[node] = time.Now()
	}
	return o.missing[node]
}

func (o *observer) observeFinished(context.Context, reconcile.Key, *reconcile.Failure) ([]*corev1.Pod, bool, error) {
	pods, err := reconcile.Indexed[*corev1.Pod](o.pods, byPhase, finished)
	return pods, true, err
}
