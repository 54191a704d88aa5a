package scheduler

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
)

// wish is a pod to be placed, with all that is computed once for it instead of once a node.
type wish struct {
	pod        *v1.Pod
	fit, score amounts
	ports      []hostPort
	required   nodeaffinity.RequiredNodeAffinity
	preferred  *nodeaffinity.PreferredSchedulingTerms
	affinity   *affinityWish // nil if neither the pod nor any placed pod cares
	spread     []spreadWish
	softSpread []spreadWish
	prefers    []preference
}

func newWish(pod *v1.Pod, s *state) *wish {
	w := &wish{pod: pod, ports: hostPorts(pod), required: nodeaffinity.GetRequiredNodeAffinity(pod)}
	w.fit, w.score = podRequests(pod)
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		// Terms that do not parse match nothing; validation has refused them long before.
		w.preferred, _ = nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	w.affinity = newAffinityWish(pod, s)
	w.prefers = newPreferences(pod, s)
	w.spread, w.softSpread = newSpreadWishes(w, s)
	return w
}

// filters in their order, upstream's names beside them. Each returns why it refuses, or nothing.
var filters = []func(w *wish, n *nodeState) []string{
	unschedulable,  // NodeUnschedulable
	nodeName,       // NodeName
	taints,         // TaintToleration
	nodeSelection,  // NodeAffinity
	freePorts,      // NodePorts
	resources,      // NodeResourcesFit
	topologySpread, // PodTopologySpread
	podAffinity,    // InterPodAffinity
}

func refuse(why string) []string { return []string{why} }

func unschedulable(w *wish, n *nodeState) []string {
	if !n.node.Spec.Unschedulable {
		return nil
	}
	taint := v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule}
	if tolerates(w.pod, &taint) {
		return nil
	}
	return refuse("node(s) were unschedulable")
}

func nodeName(w *wish, n *nodeState) []string {
	if want := w.pod.Spec.NodeName; want != "" && want != n.name {
		return refuse("node(s) didn't match the requested node name")
	}
	return nil
}

func taints(w *wish, n *nodeState) []string {
	for i := range n.node.Spec.Taints {
		t := &n.node.Spec.Taints[i]
		if t.Effect != v1.TaintEffectPreferNoSchedule && !tolerates(w.pod, t) {
			return refuse("node(s) had untolerated taint(s)")
		}
	}
	return nil
}

func tolerates(pod *v1.Pod, t *v1.Taint) bool {
	return schedulinghelper.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, t, false)
}

func nodeSelection(w *wish, n *nodeState) []string {
	if ok, err := w.required.Match(n.node); err == nil && ok {
		return nil
	}
	return refuse("node(s) didn't match Pod's node affinity/selector")
}

func freePorts(w *wish, n *nodeState) []string {
	for _, want := range w.ports {
		for held := range n.ports {
			if want.conflicts(held) {
				return refuse("node(s) didn't have free ports for the requested pod ports")
			}
		}
	}
	return nil
}

func resources(w *wish, n *nodeState) (whys []string) {
	if int64(len(n.pods))+1 > n.maxPods {
		whys = append(whys, "Too many pods")
	}
	short := func(name v1.ResourceName, want, have int64) {
		if want > 0 && want > have {
			whys = append(whys, "Insufficient "+string(name))
		}
	}
	short(v1.ResourceCPU, w.fit.milliCPU, n.allocatable.milliCPU-n.requested.milliCPU)
	short(v1.ResourceMemory, w.fit.memory, n.allocatable.memory-n.requested.memory)
	short(v1.ResourceEphemeralStorage, w.fit.ephemeral, n.allocatable.ephemeral-n.requested.ephemeral)
	for name, want := range w.fit.other {
		short(name, want, n.allocatable.other[name]-n.requested.other[name])
	}
	return whys
}
