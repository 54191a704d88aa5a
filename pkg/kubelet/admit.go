package kubelet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/status"
)

// admit refuses a pod that does not fit beside those that the node has already. The scheduler has seen to that;
// a pod that named its node itself has not been asked. A pod that runs is never refused.
func (k *kubelet) admit(pod *corev1.Pod, runtime *cri.Pod) *status.Verdict {
	if len(runtime.Sandboxes) > 0 {
		return nil
	}
	used := k.used(pod)
	asked := demand(pod)
	for _, name := range []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		want, have, total := asked[name], used[name], k.node.Allocatable[name]
		sum := want.DeepCopy()
		sum.Add(have)
		if want.IsZero() || sum.Cmp(total) <= 0 {
			continue
		}
		text := fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, amount(name, want), amount(name, have), amount(name, total))
		reason := "OutOf" + string(name)
		k.events.pod(pod, warning, reason, "%s", text)
		return &status.Verdict{Reason: reason, Message: "Pod was rejected: " + text}
	}
	return nil
}

// used sums what the other pods that were admitted ask for.
func (k *kubelet) used(but *corev1.Pod) corev1.ResourceList {
	sum := corev1.ResourceList{}
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid, w := range k.workers {
		pod := w.admittedPod()
		if uid == but.UID || pod == nil || status.Terminal(pod) {
			continue
		}
		for name, q := range demand(pod) {
			total := sum[name]
			total.Add(q)
			sum[name] = total
		}
	}
	return sum
}

// demand is what a pod asks for, itself included.
func demand(pod *corev1.Pod) corev1.ResourceList {
	out := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	out[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	return out
}

// amount is a quantity as upstream's message has it: CPU in millicores.
func amount(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}
