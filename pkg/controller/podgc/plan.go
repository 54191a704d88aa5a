package podgc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

const (
	// quarantine is how long a node has to be missing.
	quarantine = 40 * time.Second
	// threshold is how many finished pods are kept.
	threshold = 12500
)

// state is what is known of a node and the pods that name it.
type state struct {
	// name is "" for the pods without a node.
	name string
	pods []*corev1.Pod
	// node is nil if the cache has none; missing is since when, and gone says that the API server has none either.
	node    *corev1.Node
	missing time.Time
	gone    bool
}

func plan(s state, now time.Time) (p reconcile.Plan) {
	slices.SortFunc(s.pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	switch {
	case s.name == "":
		removeAll(&p, s.pods, deleted, now, "unscheduled", "it is deleted and was never on a node")
	case s.gone:
		removeAll(&p, s.pods, each, now, "node no longer exists", "node "+s.name+" no longer exists")
	case !s.missing.IsZero():
		p.Wait(max(s.missing.Add(quarantine).Sub(now), 0), "node %s of %d pods is not there; it may be registering anew", s.name, len(s.pods))
	case s.node != nil && outOfService(s.node):
		removeAll(&p, s.pods, deleted, now, "node is out-of-service", "it ends on node "+s.name+", which is out of service")
	}
	return p
}

func deleted(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil }
func each(*corev1.Pod) bool        { return true }

// removeAll marks the pods as failed, so that who waits for them learns that they ended, and then removes them.
func removeAll(p *reconcile.Plan, pods []*corev1.Pod, which func(*corev1.Pod) bool, now time.Time, message, why string) {
	var gone []*corev1.Pod
	for _, pod := range pods {
		if !which(pod) {
			continue
		}
		gone = append(gone, pod)
		if !ended(pod) {
			a := p.Patch(pod, failed(pod, now, "PodGC: "+message), "%s, so nobody else will say that it failed", why)
			a.Subresource = "status"
		}
	}
	for _, pod := range gone {
		remove(p, pod, why)
	}
}

func remove(p *reconcile.Plan, pod *corev1.Pod, why string) {
	p.Delete(pod, "%s", why).Options.GracePeriodSeconds = new(int64)
}

func failed(pod *corev1.Pod, now time.Time, message string) []byte {
	body, _ := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": map[string]any{
			"phase": corev1.PodFailed,
			"conditions": []any{map[string]any{
				"type": corev1.DisruptionTarget, "status": corev1.ConditionTrue, "reason": "DeletionByPodGC", "message": message,
				"lastTransitionTime": metav1.NewTime(now), "observedGeneration": pod.Generation,
			}},
		},
	})
	return body
}

// planFinished removes the oldest above the threshold.
func planFinished(pods []*corev1.Pod, _ time.Time) (p reconcile.Plan) {
	excess := len(pods) - threshold
	if excess <= 0 {
		return nil
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, pod := range pods[:excess] {
		remove(&p, pod, fmt.Sprintf("%d pods are finished, the newest %d are kept", len(pods), threshold))
	}
	return p
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// outOfService says that someone vouches for the node being down, by its taint.
func outOfService(n *corev1.Node) bool {
	down, vouched := true, false
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			down = false
		}
	}
	for _, t := range n.Spec.Taints {
		vouched = vouched || t.Key == corev1.TaintNodeOutOfService
	}
	return down && vouched
}
