package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The updates of parts of a pod: its ephemeral containers and its resources.

func isMirror(p *corev1.Pod) bool {
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// validateEphemeralContainersUpdate lets ephemeral containers be added. Patches do not keep their order.
func validateEphemeralContainersUpdate(next, old *corev1.Pod) field.ErrorList {
	if isMirror(old) {
		return field.ErrorList{forbiddenAt(newPlace(""), "static pods do not support ephemeral containers")}
	}
	errs := join(validateMetaUpdate(next, old), validatePod(next), changedPodAnnotations(next, old))
	path := newPlace("spec", "ephemeralContainers")
	have := map[string]corev1.EphemeralContainer{}
	for _, c := range next.Spec.EphemeralContainers {
		have[c.Name] = c
	}
	for _, was := range old.Spec.EphemeralContainers {
		switch now, kept := have[was.Name]; {
		case !kept:
			errs = append(errs, forbiddenAt(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !same(now, was):
			errs = append(errs, forbiddenAt(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, diff.Diff(inGoNames{was}, inGoNames{now}))))
		}
	}
	return errs
}

// validatePodResize lets cpu and memory of a running pod change, as far as its class stays the same.
func validatePodResize(next, old *corev1.Pod) field.ErrorList {
	none, path := newPlace(""), newPlace("spec")
	switch {
	case isMirror(old):
		return field.ErrorList{forbiddenAt(none, "static pods cannot be resized")}
	case old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows:
		return field.ErrorList{forbiddenAt(none, "windows pods cannot be resized")}
	}
	errs := join(validateMetaUpdate(next, old), validatePod(next),
		when(old.Status.QOSClass != podQOS(&next.Spec), invalidAt(path, next.Status.QOSClass, "Pod QOS Class may not change as a result of resizing")),
		when(!nodeResizes(old), forbiddenAt(path, "Pod running on node without support for resize")),
		resizedPod(next.Spec.Resources, old.Spec.Resources, path))
	if other := join(
		otherContainers(next.Spec.Containers, old.Spec.Containers, "containers", path),
		otherContainers(next.Spec.InitContainers, old.Spec.InitContainers, "initContainers", path)); len(other) > 0 {
		return append(errs, other...)
	}
	errs = append(errs, resizedContainers(next, old, path)...)
	if rest := withOldSizes(&next.Spec, &old.Spec); len(errs) == 0 && !same(rest, &old.Spec) {
		errs = append(errs, forbiddenAt(path, "only cpu and memory resources are mutable"))
	}
	return errs
}

// nodeResizes asks the status: a kubelet that can resize reports the resources that it has applied.
func nodeResizes(p *corev1.Pod) bool {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil {
			return c.Resources != nil
		}
	}
	return true
}

// otherContainers refuses to take a resize for a change of what runs.
func otherContainers(now, was []corev1.Container, name string, path *place) field.ErrorList {
	path = path.Child(name)
	if len(now) != len(was) {
		return field.ErrorList{forbiddenAt(path, name+" may not be added or removed on resize")}
	}
	var errs field.ErrorList
	for i := range now {
		errs = append(errs, when(now[i].Name != was[i].Name, forbiddenAt(path.Index(i).Child("name"), name+" may not be renamed or reordered on resize"))...)
	}
	return errs
}

// resizedPod validates a change of the resources of the pod as a whole.
func resizedPod(now, was *corev1.ResourceRequirements, path *place) field.ErrorList {
	switch {
	case was == nil:
		return nil
	case now == nil:
		return field.ErrorList{forbiddenAt(path.Child("resources"), "pod-level resources cannot be removed")}
	}
	return join(kept(now, was, "pod-level resource", path.Child("resources")),
		when(!same(oldSizes(now, was), *was), forbiddenAt(path, "only cpu and memory resources are mutable at pod-level")))
}

func resizedContainers(next, old *corev1.Pod, path *place) field.ErrorList {
	var errs field.ErrorList
	for i := range old.Spec.InitContainers {
		was, now := &old.Spec.InitContainers[i], &next.Spec.InitContainers[i]
		errs = append(errs, kept(&now.Resources, &was.Resources, "resource", path.Child("initContainers").Index(i).Child("resources"))...)
	}
	for i := range old.Spec.Containers {
		was, now := &old.Spec.Containers[i], &next.Spec.Containers[i]
		errs = append(errs, kept(&now.Resources, &was.Resources, "resource", path.Child("containers").Index(i).Child("resources"))...)
	}
	for i := range old.Spec.Containers {
		was, now := &old.Spec.Containers[i], &next.Spec.Containers[i]
		errs = append(errs, when(!same(withOldSize(*now, was), *was), forbiddenAt(path, "only cpu and memory resources are mutable"))...)
	}
	for i := range old.Spec.InitContainers {
		was, now, at := &old.Spec.InitContainers[i], &next.Spec.InitContainers[i], path.Child("initContainers").Index(i)
		errs = join(errs,
			when(!same(withOldSize(*now, was), *was), forbiddenAt(at, "only cpu and memory resources for init or sidecar containers are mutable")),
			when(!same(now, was) && !isSidecar(now) && restartsToResize(now), forbiddenAt(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized")))
	}
	return errs
}

func restartsToResize(c *corev1.Container) bool {
	for _, p := range c.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer {
			return true
		}
	}
	return false
}

// kept wants no request and no limit to vanish.
func kept(now, was *corev1.ResourceRequirements, what string, path *place) field.ErrorList {
	return join(
		when(removed(now.Requests, was.Requests), forbiddenAt(path.Child("requests"), what+" requests cannot be removed")),
		when(removed(now.Limits, was.Limits), forbiddenAt(path.Child("limits"), what+" limits cannot be removed")))
}

func removed(now, was corev1.ResourceList) bool {
	for name := range was {
		if _, ok := now[name]; !ok {
			return true
		}
	}
	return false
}

// withOldSizes is next with the sizes of old: what differs still is no resize.
func withOldSizes(next, old *corev1.PodSpec) *corev1.PodSpec {
	rest := next.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i] = withOldSize(rest.Containers[i], &old.Containers[i])
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i] = withOldSize(rest.InitContainers[i], &old.InitContainers[i])
	}
	rest.Resources = old.Resources // validated on its own
	return rest
}

func withOldSize(now corev1.Container, was *corev1.Container) corev1.Container {
	now.Resources = oldSizes(&now.Resources, &was.Resources)
	return now
}

// oldSizes is now with the cpu and memory of was.
func oldSizes(now, was *corev1.ResourceRequirements) corev1.ResourceRequirements {
	out := *now.DeepCopy()
	out.Requests, out.Limits = oldAmounts(now.Requests, was.Requests), oldAmounts(now.Limits, was.Limits)
	return out
}

func oldAmounts(now, was corev1.ResourceList) corev1.ResourceList {
	out := now.DeepCopy()
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		delete(out, name)
		if q, ok := was[name]; ok {
			out = addMissing(out, name, q)
		}
	}
	return out
}
