package scheduler

import (
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// follow turns what the informers say into mail for the loop.
func (l *loop) follow(f informers.SharedInformerFactory) ([]cache.InformerSynced, error) {
	pods, err := subscribe(f.Core().V1().Pods().Informer(), l, l.podSet, l.podGone)
	if err != nil {
		return nil, err
	}
	nodes, err := subscribe(f.Core().V1().Nodes().Informer(), l, l.nodeSet, func(n *v1.Node) { l.state.removeNode(n.Name) })
	if err != nil {
		return nil, err
	}
	spaces, err := subscribe(f.Core().V1().Namespaces().Informer(), l, l.namespaceSet,
		func(n *v1.Namespace) { delete(l.state.namespaces, n.Name) })
	if err != nil {
		return nil, err
	}
	return []cache.InformerSynced{pods, nodes, spaces}, nil
}

// subscribe sends every object that is added or updated to set, and every deleted one to gone, both called by the loop.
func subscribe[T any](i cache.SharedIndexInformer, l *loop, set, gone func(T)) (cache.InformerSynced, error) {
	r, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { l.mail.send(func() { set(o.(T)) }) },
		UpdateFunc: func(_, o any) { l.mail.send(func() { set(o.(T)) }) },
		DeleteFunc: func(o any) {
			if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = unknown.Obj
			}
			l.mail.send(func() { gone(o.(T)) })
		},
	})
	if err != nil {
		return nil, err
	}
	return r.HasSynced, nil
}

func (l *loop) podSet(pod *v1.Pod) {
	switch {
	case pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed:
		l.podGone(pod) // its place is free although the object stays
	case pod.Spec.NodeName != "":
		delete(l.assumed, pod.UID)
		l.queue.remove(pod.UID)
		l.state.setPod(pod)
		l.queue.placed()
	case l.assumed[pod.UID]:
		// An update from before the binding; the assumption holds.
	case pod.Spec.SchedulerName != Name || pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0:
		l.queue.remove(pod.UID)
	default:
		l.queue.set(pod)
	}
}

func (l *loop) podGone(pod *v1.Pod) {
	delete(l.assumed, pod.UID)
	l.queue.remove(pod.UID)
	if _, counted := l.state.on[pod.UID]; counted {
		l.state.removePod(pod.UID)
		l.queue.wake()
	}
}

func (l *loop) nodeSet(node *v1.Node) {
	before := l.state.byName[node.Name]
	changed := before == nil || before.node == nil || mayHelp(before.node, node)
	l.state.setNode(node)
	if changed {
		l.queue.wake()
	}
}

// mayHelp says whether a node's change could make it fit for a pod that it did not fit before. Heartbeats, the most
// frequent updates, cannot.
func mayHelp(old, next *v1.Node) bool {
	return old.Spec.Unschedulable != next.Spec.Unschedulable ||
		!maps.Equal(old.Labels, next.Labels) ||
		!slices.EqualFunc(old.Spec.Taints, next.Spec.Taints, func(a, b v1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }) ||
		!equality.Semantic.DeepEqual(old.Status.Allocatable, next.Status.Allocatable)
}

func (l *loop) namespaceSet(n *v1.Namespace) {
	if !maps.Equal(l.state.namespaces[n.Name], n.Labels) {
		l.state.namespaces[n.Name] = labels.Set(n.Labels)
		l.queue.wake()
	}
}
