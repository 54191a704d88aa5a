package spec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubectl/pkg/util/qos"
)

// The kernel's units: 1024 shares are one CPU, a quota counts microseconds per period.
const (
	sharesPerCPU = 1024
	minShares    = 2
	Period       = 100_000
	minQuota     = 1_000
)

// Shares turns millicores into CPU shares; nothing asked for is the least the kernel knows.
func Shares(milli int64) int64 { return max(minShares, milli*sharesPerCPU/1000) }

// Quota turns a limit in millicores into microseconds per Period; no limit is -1.
func Quota(milli int64) int64 {
	if milli == 0 {
		return -1
	}
	return max(minQuota, milli*Period/1000)
}

// PodLimit is how much of a resource the pod may have in all; zero means no limit. Limits of containers are one for the
// pod only if every container has one.
func PodLimit(pod *corev1.Pod, name corev1.ResourceName) resource.Quantity {
	all := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
	if pod.Spec.Resources != nil {
		if _, ok := pod.Spec.Resources.Limits[name]; ok {
			return all[name]
		}
	}
	for _, c := range pod.Spec.Containers {
		if q := c.Resources.Limits[name]; q.IsZero() {
			return resource.Quantity{}
		}
	}
	return all[name]
}

// The scores by which the kernel chooses whom to kill when memory runs out: the guaranteed last, best effort first.
const (
	oomGuaranteed = -997
	oomBestEffort = 1000
	// critical is the priority from which a pod is the system's.
	critical = 2_000_000_000
)

// oomScore of a burstable container falls with the share of the node's memory that it asked for.
func (n *Node) oomScore(pod *corev1.Pod, c *corev1.Container) int64 {
	if pod.Spec.Priority != nil && *pod.Spec.Priority >= critical {
		return oomGuaranteed
	}
	switch qos.GetPodQOS(pod) {
	case corev1.PodQOSGuaranteed:
		return oomGuaranteed
	case corev1.PodQOSBestEffort:
		return oomBestEffort
	}
	score := int64(oomBestEffort)
	if n.Memory > 0 {
		score -= 1000 * c.Resources.Requests.Memory().Value() / n.Memory
	}
	return min(max(score, 1000+oomGuaranteed), oomBestEffort-1)
}

func (n *Node) resources(pod *corev1.Pod, c *corev1.Container) *runtimev1.LinuxContainerResources {
	out := linux(c.Resources.Requests, c.Resources.Limits)
	out.OomScoreAdj = n.oomScore(pod, c)
	return out
}

func (n *Node) podResources(pod *corev1.Pod) *runtimev1.LinuxContainerResources {
	o := resourcehelper.PodResourcesOptions{}
	return linux(resourcehelper.PodRequests(pod, o), resourcehelper.PodLimits(pod, o))
}

// linux translates requests and limits; a CPU request that is missing is the limit.
func linux(requests, limits corev1.ResourceList) *runtimev1.LinuxContainerResources {
	cpu := requests.Cpu()
	if _, set := requests[corev1.ResourceCPU]; !set {
		cpu = limits.Cpu()
	}
	return &runtimev1.LinuxContainerResources{
		CpuShares: Shares(cpu.MilliValue()),
		CpuPeriod: Period, CpuQuota: Quota(limits.Cpu().MilliValue()),
		MemoryLimitInBytes: limits.Memory().Value(),
	}
}
