package nodelifecycle

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

const (
	// grace is how long a node may be silent; startGrace, how long one may be that has never said anything.
	grace      = 50 * time.Second
	startGrace = 60 * time.Second
)

// state is all that a plan depends on, besides the time.
type state struct {
	node *corev1.Node
	// heard is when the node was last heard of.
	heard time.Time
	// nodes are all nodes, this one included, pods those on this one.
	nodes []*corev1.Node
	pods  []*corev1.Pod
}

// plan judges the node, then taints it by the judgement. The status and the taints are two writes of one object, so
// they are two plans: the taints are planned from the status that was written.
func plan(s state, now time.Time) (p reconcile.Plan) {
	allowed := grace
	if condition(s.node, corev1.NodeReady) == nil {
		allowed = startGrace
	}
	silent := now.Sub(s.heard)
	if next := s.node.DeepCopy(); silent >= allowed && unknown(next, now) {
		p.UpdateStatus(s.node, next, "nothing was heard of it for %s", silent.Round(time.Second)).Done = &reconcile.Note{
			About: s.node, Type: corev1.EventTypeNormal, Reason: "NodeNotReady",
			Message: fmt.Sprintf("Node %s status is now: NodeNotReady", s.node.Name)}
		return p
	}
	taint(&p, s, now)
	markPods(&p, s, now)
	if silent < allowed {
		p.Wait(allowed-silent, "if nothing is heard until then, its state is unknown")
	}
	return p
}

// unknown makes the conditions that the kubelet keeps Unknown, and says whether they were not.
func unknown(n *corev1.Node, now time.Time) (changed bool) {
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		c := condition(n, t)
		switch {
		case c == nil:
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
				Type: t, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			})
		case c.Status != corev1.ConditionUnknown:
			c.Status, c.Reason, c.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
			c.LastTransitionTime = metav1.NewTime(now)
		default:
			continue
		}
		changed = true
	}
	return changed
}

func condition(n *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == t {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// ready is the status of the Ready condition; a node that has none is not ready.
func ready(n *corev1.Node) corev1.ConditionStatus {
	if c := condition(n, corev1.NodeReady); c != nil {
		return c.Status
	}
	return corev1.ConditionFalse
}

// managed are the taints that this controller sets and removes.
var managed = map[corev1.TaintEffect][]string{
	corev1.TaintEffectNoSchedule: {
		corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeUnschedulable, corev1.TaintNodeMemoryPressure,
		corev1.TaintNodeDiskPressure, corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable,
	},
	corev1.TaintEffectNoExecute: {corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable},
}

// byCondition are the taints for conditions that are True.
var byCondition = []struct {
	condition corev1.NodeConditionType
	key       string
}{
	{corev1.NodeMemoryPressure, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.TaintNodeDiskPressure},
	{corev1.NodePIDPressure, corev1.TaintNodePIDPressure},
	{corev1.NodeNetworkUnavailable, corev1.TaintNodeNetworkUnavailable},
}

// wanted are the taints that the node's state asks for, without regard to the pace.
func wanted(n *corev1.Node) (taints []corev1.Taint) {
	noSchedule := func(key string) {
		taints = append(taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
	if n.Spec.Unschedulable {
		noSchedule(corev1.TaintNodeUnschedulable)
	}
	for _, b := range byCondition {
		if c := condition(n, b.condition); c != nil && c.Status == corev1.ConditionTrue {
			noSchedule(b.key)
		}
	}
	key := map[corev1.ConditionStatus]string{
		corev1.ConditionFalse: corev1.TaintNodeNotReady, corev1.ConditionUnknown: corev1.TaintNodeUnreachable}[ready(n)]
	if key != "" {
		noSchedule(key)
	}
	if key != "" && condition(n, corev1.NodeReady) != nil { // one that has only just registered drives nobody away
		taints = append(taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	return taints
}

// taint brings the taints in line with what is wanted, NoExecute at its pace.
func taint(p *reconcile.Plan, s state, now time.Time) {
	next := s.node.DeepCopy()
	want := wanted(s.node)
	next.Spec.Taints = slices.DeleteFunc(next.Spec.Taints, func(t corev1.Taint) bool {
		return slices.Contains(managed[t.Effect], t.Key) && !has(want, t)
	})
	healthy, pace := paceOf(s.nodes)
	for _, t := range want {
		if has(next.Spec.Taints, t) {
			continue
		}
		if t.Effect == corev1.TaintEffectNoExecute {
			if pace == 0 {
				continue
			}
			if wait := lastExecuted(s.nodes).Add(pace).Sub(now); wait > 0 {
				p.Wait(wait, "pods are driven from one node per %s", pace)
				continue
			}
		}
		t.TimeAdded = &metav1.Time{Time: now}
		next.Spec.Taints = append(next.Spec.Taints, t)
	}
	if !healthy { // nobody is ready: more likely this side is cut off, and pods have nowhere to go
		next.Spec.Taints = slices.DeleteFunc(next.Spec.Taints, func(t corev1.Taint) bool {
			return t.Effect == corev1.TaintEffectNoExecute && slices.Contains(managed[t.Effect], t.Key)
		})
	}
	p.Update(s.node, next, "its Ready condition is %s, %d of its taints follow", ready(s.node), len(next.Spec.Taints))
}

func has(taints []corev1.Taint, t corev1.Taint) bool {
	return slices.ContainsFunc(taints, func(o corev1.Taint) bool { return o.MatchTaint(&t) })
}

// paceOf is the time between two nodes that pods are driven from, 0 for never, and whether any node is ready.
func paceOf(nodes []*corev1.Node) (healthy bool, pace time.Duration) {
	down := 0
	for _, n := range nodes {
		if ready(n) != corev1.ConditionTrue {
			down++
		}
	}
	switch {
	case down == len(nodes):
		return false, 0
	case down <= 2 || float64(down) < 0.55*float64(len(nodes)):
		return true, 10 * time.Second
	case len(nodes) > 50:
		return true, 100 * time.Second
	}
	return true, 0
}

// lastExecuted is when the last node was given a NoExecute taint.
func lastExecuted(nodes []*corev1.Node) (last time.Time) {
	for _, n := range nodes {
		for _, t := range n.Spec.Taints {
			if t.TimeAdded != nil && t.Effect == corev1.TaintEffectNoExecute &&
				slices.Contains(managed[t.Effect], t.Key) && t.TimeAdded.After(last) {
				last = t.TimeAdded.Time
			}
		}
	}
	return last
}

// markPods makes the pods of a silent node not ready. On a node whose kubelet says itself that it is not ready, the kubelet
// speaks for its pods too, and the two would contradict each other for ever.
func markPods(p *reconcile.Plan, s state, now time.Time) {
	if ready(s.node) != corev1.ConditionUnknown {
		return
	}
	for _, pod := range s.pods {
		next := pod.DeepCopy()
		for i := range next.Status.Conditions {
			if c := &next.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now)
			}
		}
		p.UpdateStatus(pod, next, "its node %s is silent, nobody knows whether it is ready", s.node.Name).Done = &reconcile.Note{
			About: pod, Type: corev1.EventTypeWarning, Reason: "NodeNotReady", Message: "Node is not ready"}
	}
}
