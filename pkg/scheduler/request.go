package scheduler

import (
	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// amounts are quantities of resources: what a pod requests, or a node offers or has given away.
type amounts struct {
	milliCPU, memory, ephemeral int64
	// other holds extended resources and huge pages.
	other map[v1.ResourceName]int64
}

func toAmounts(list v1.ResourceList) amounts {
	var a amounts
	for name, q := range list {
		switch name {
		case v1.ResourceCPU:
			a.milliCPU = q.MilliValue()
		case v1.ResourceMemory:
			a.memory = q.Value()
		case v1.ResourceEphemeralStorage:
			a.ephemeral = q.Value()
		case v1.ResourcePods:
		default:
			if a.other == nil {
				a.other = map[v1.ResourceName]int64{}
			}
			a.other[name] = q.Value()
		}
	}
	return a
}

// add adds b to a, sign times.
func (a *amounts) add(b amounts, sign int64) {
	a.milliCPU += sign * b.milliCPU
	a.memory += sign * b.memory
	a.ephemeral += sign * b.ephemeral
	for name, n := range b.other {
		if a.other == nil {
			a.other = map[v1.ResourceName]int64{}
		}
		a.other[name] += sign * n
	}
}

// What a container that requests nothing counts as when nodes are scored, upstream's numbers: without them any number
// of such pods would look free, and all would land on one node.
const (
	scoreMilliCPU = 100
	scoreMemory   = 200 << 20
)

// podRequests returns what fits is decided by, and what scores are made from.
func podRequests(pod *v1.Pod) (fit, score amounts) {
	fit = toAmounts(resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{UseStatusResources: true}))
	score = fit
	for i := range pod.Spec.Containers {
		requests := pod.Spec.Containers[i].Resources.Requests
		if _, ok := requests[v1.ResourceCPU]; !ok {
			score.milliCPU += scoreMilliCPU
		}
		if _, ok := requests[v1.ResourceMemory]; !ok {
			score.memory += scoreMemory
		}
	}
	return fit, score
}
