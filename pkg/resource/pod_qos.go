package resource

import (
	corev1 "k8s.io/api/core/v1"
)

// podQOS is the class by which a node under pressure picks its victims. Each of cpu and memory of each container
// has a class of its own: BestEffort asks for nothing and has no limit, Guaranteed is limited to just what it asks
// for, Burstable is anything else. A pod has the class that all of them share; if they differ it is Burstable.
// Resources given for the whole pod count instead of those of its containers.
func podQOS(s *corev1.PodSpec) corev1.PodQOSClass {
	classes := map[corev1.PodQOSClass]bool{}
	if r := s.Resources; r != nil && len(r.Requests)+len(r.Limits) > 0 {
		addQOS(classes, r)
	} else {
		for _, cs := range [][]corev1.Container{s.InitContainers, s.Containers} {
			for i := range cs {
				addQOS(classes, &cs[i].Resources)
			}
		}
	}
	switch {
	case len(classes) == 0:
		return corev1.PodQOSBestEffort
	case len(classes) > 1:
		return corev1.PodQOSBurstable
	}
	for only := range classes {
		return only
	}
	panic("unreachable: one class")
}

func addQOS(classes map[corev1.PodQOSClass]bool, r *corev1.ResourceRequirements) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := r.Requests[name], r.Limits[name]
		switch {
		case request.Cmp(limit) != 0:
			classes[corev1.PodQOSBurstable] = true
		case request.IsZero():
			classes[corev1.PodQOSBestEffort] = true
		default:
			classes[corev1.PodQOSGuaranteed] = true
		}
	}
}
