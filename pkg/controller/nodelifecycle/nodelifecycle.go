// Package nodelifecycle judges nodes by whether their kubelets are heard of, and draws the consequences.
//
// A kubelet renews its Lease in kube-node-lease every ten seconds, and writes its status now and then. If neither changes for
// 50 seconds, the node's conditions become Unknown: nobody knows whether its pods still run. They are marked as not ready, so that
// no traffic goes there, and the node gets the taint unreachable, whose NoExecute part is what finally drives pods away
// (package tainteviction). All other taints follow from the node's conditions and from spec.unschedulable.
//
//	heard of, Ready True       no taint
//	heard of, Ready False      not-ready:NoSchedule, then not-ready:NoExecute
//	not heard of               Ready Unknown, unreachable:NoSchedule, then unreachable:NoExecute
//
// Silence is measured with this process's own clock, from when it last saw a change: clocks of nodes may be wrong.
//
// Driving pods away from many nodes at once does more harm than good, since it is probably this side that is cut off. So NoExecute
// taints come one per ten seconds; they stop while more than half of the nodes are not ready (three at least, in clusters of
// up to 50 nodes; in larger ones they come a tenth as often); and when no node at all is ready, those there are are taken
// back. Upstream does this per zone; here the cluster is one zone. The pace is read from the times on the taints themselves, so
// nothing has to be remembered.
package nodelifecycle

import (
	"context"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

const byNode = "pods.node"

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	pods, nodes := c.Informers.Core().V1().Pods().Informer(), c.Informers.Core().V1().Nodes()
	leases := c.Informers.Coordination().V1().Leases()
	if err := reconcile.Index(pods, byNode, nodeOf); err != nil {
		return err
	}
	o := &observer{nodes: nodes.Lister(), leases: leases.Lister(), pods: pods, heard: map[string]sign{}}
	loop := &reconcile.Loop[state]{
		Env:   c.Env,
		Name:  "node-controller",
		Queue: "node_lifecycle_controller",
		Kinds: []reconcile.Resource{
			reconcile.For(nodes.Informer(), func(string) reconcile.Client[*corev1.Node] { return c.Client.CoreV1().Nodes() }),
			reconcile.For(pods, func(ns string) reconcile.Client[*corev1.Pod] { return c.Client.CoreV1().Pods(ns) }),
		},
		Sources: []reconcile.Source{
			{Informer: nodes.Informer(), Keys: o.withSilent},
			{Informer: leases.Informer(), Keys: nodeOfLease},
			{Informer: pods, Keys: o.silentNodeOf, Changed: placeChanged},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

func nodeOf(o reconcile.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }

func nodeOfLease(lease reconcile.Object) []reconcile.Key {
	if lease.GetNamespace() != corev1.NamespaceNodeLease {
		return nil
	}
	return []reconcile.Key{{Name: lease.GetName()}}
}

func placeChanged(old, next reconcile.Object) bool {
	return old.(*corev1.Pod).Spec.NodeName != next.(*corev1.Pod).Spec.NodeName
}

// sign is the last sign of life of a node: what it was, and when it was seen here.
type sign struct {
	renewed, beat time.Time
	at            time.Time
}

type observer struct {
	nodes  corelisters.NodeLister
	leases coordinationlisters.LeaseLister
	pods   cache.SharedIndexInformer

	mu    sync.Mutex
	heard map[string]sign
}

// withSilent are the node and all that are not ready: whether pods are driven from those depends on how many are.
func (o *observer) withSilent(node reconcile.Object) []reconcile.Key {
	keys := reconcile.Self(node)
	all, _ := o.nodes.List(labels.Everything())
	for _, n := range all {
		if ready(n) != corev1.ConditionTrue {
			keys = append(keys, reconcile.KeyOf(n))
		}
	}
	return keys
}

// silentNodeOf is the node of a pod that was bound to a node already known to be silent.
func (o *observer) silentNodeOf(pod reconcile.Object) []reconcile.Key {
	node, err := o.nodes.Get(pod.(*corev1.Pod).Spec.NodeName)
	if err != nil || ready(node) != corev1.ConditionUnknown {
		return nil
	}
	return []reconcile.Key{reconcile.KeyOf(node)}
}

func (o *observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.node, err = o.nodes.Get(key.Name); err != nil {
		o.forget(key.Name)
		return s, false, nil
	}
	lease, _ := o.leases.Leases(corev1.NamespaceNodeLease).Get(key.Name)
	s.heard = o.lastSign(s.node, lease)
	if s.nodes, err = o.nodes.List(labels.Everything()); err != nil {
		return s, false, err
	}
	s.pods, err = reconcile.Indexed[*corev1.Pod](o.pods, byNode, key.Name)
	return s, true, err
}

// lastSign is when the node was last heard of: now, if its lease or its heartbeat differ from what was seen before.
func (o *observer) lastSign(n *corev1.Node, lease *coordinationv1.Lease) time.Time {
	var next sign
	if lease != nil && lease.Spec.RenewTime != nil {
		next.renewed = lease.Spec.RenewTime.Time
	}
	if c := condition(n, corev1.NodeReady); c != nil && c.Status != corev1.ConditionUnknown {
		next.beat = c.LastHeartbeatTime.Time
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	last, known := o.heard[n.Name]
	next.at = last.at
	if !known || next.renewed.After(last.renewed) || next.beat.After(last.beat) {
		next.at = time.Now()
		o.heard[n.Name] = next
	}
	return next.at
}

func (o *observer) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.heard, name)
}
