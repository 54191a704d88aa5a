package kubelet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"bonsai/pkg/kubelet/cgroup"
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
	for _, pod := range k.admittedPods() {
		if pod.UID == but.UID {
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

// admittedPods are the pods that the node has let in and that have not ended.
func (k *kubelet) admittedPods() (out []*corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.workers {
		if pod := w.admittedPod(); pod != nil && !status.Terminal(pod) {
			out = append(out, pod)
		}
	}
	return out
}

// shareBurstable adapts the burstable pods' share of the processor after one of them has come or gone.
func (k *kubelet) shareBurstable() error {
	k.admission.Lock()
	defer k.admission.Unlock()
	sum := int64(0)
	for _, pod := range k.admittedPods() {
		if cgroup.Class(pod) == corev1.PodQOSBurstable {
			asked := demand(pod)
			sum += asked.Cpu().MilliValue()
		}
	}
	return k.cgroups.ShareBurstable(sum)
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
