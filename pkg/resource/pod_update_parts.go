package resource

import (
	"fmt"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
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
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	errs := join(validateMetaUpdate(next, old), validatePod(next), changedPodAnnotations(next, old))
	path := field.NewPath("spec", "ephemeralContainers")
	have := map[string]corev1.EphemeralContainer{}
	for _, c := range next.Spec.EphemeralContainers {
		have[c.Name] = c
	}
	for _, was := range old.Spec.EphemeralContainers {
		switch now, kept := have[was.Name]; {
		case !kept:
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !same(now, was):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, cmp.Diff(was, now))))
		}
	}
	return errs
}

// validatePodResize lets cpu and memory of a running pod change, as far as its class stays the same.
func validatePodResize(next, old *corev1.Pod) field.ErrorList {
	none, path := field.NewPath(""), field.NewPath("spec")
	switch {
	case isMirror(old):
		return field.ErrorList{field.Forbidden(none, "static pods cannot be resized")}
	case old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows:
		return field.ErrorList{field.Forbidden(none, "windows pods cannot be resized")}
	case !sameContainerNames(next.Spec.Containers, old.Spec.Containers):
		return field.ErrorList{field.Forbidden(path.Child("containers"), "containers may not be renamed or reordered on resize")}
	case !sameContainerNames(next.Spec.InitContainers, old.Spec.InitContainers):
		return field.ErrorList{field.Forbidden(path.Child("initContainers"), "initContainers may not be renamed or reordered on resize")}
	}
	errs := join(validateMetaUpdate(next, old), validatePod(next),
		when(old.Status.QOSClass != podQOS(&next.Spec), field.Invalid(path, next.Status.QOSClass, "Pod QOS Class may not change as a result of resizing")),
		when(!nodeResizes(old), field.Forbidden(path, "Pod running on node without support for resize")),
		resizedContainers(next, old, path))
	if r, was := next.Spec.Resources, old.Spec.Resources; r != nil && was != nil {
		errs = append(errs, kept(r, was, path.Child("resources"))...)
	}
	if rest := withoutComputeChanges(&next.Spec, &old.Spec); len(errs) == 0 && !same(rest, &old.Spec) {
		errs = append(errs, field.Forbidden(path, "only cpu and memory resources are mutable"))
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

func resizedContainers(next, old *corev1.Pod, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range old.Spec.InitContainers {
		was, now := &old.Spec.InitContainers[i], &next.Spec.InitContainers[i]
		if !isSidecar(was) {
			errs = append(errs, when(!same(now, was), field.Forbidden(path, "resources for non-sidecar init containers are immutable"))...)
			continue
		}
		errs = join(errs, kept(&now.Resources, &was.Resources, path.Child("initContainers").Index(i).Child("resources")),
			when(!same(withOldCompute(*now, was), *was), field.Forbidden(path, "only cpu and memory resources for sidecar containers are mutable")))
	}
	for i := range old.Spec.Containers {
		was, now := &old.Spec.Containers[i], &next.Spec.Containers[i]
		errs = join(errs, kept(&now.Resources, &was.Resources, path.Child("containers").Index(i).Child("resources")),
			when(!same(withOldCompute(*now, was), *was), field.Forbidden(path, "only cpu and memory resources are mutable")))
	}
	return errs
}

// kept wants no request and no limit to vanish.
func kept(now, was *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	return join(
		when(removed(now.Requests, was.Requests), field.Forbidden(path.Child("requests"), "resource requests cannot be removed")),
		when(removed(now.Limits, was.Limits), field.Forbidden(path.Child("limits"), "resource limits cannot be removed")))
}

func removed(now, was corev1.ResourceList) bool {
	for name := range was {
		if _, ok := now[name]; !ok {
			return true
		}
	}
	return false
}

// withOldCompute is now with the cpu and memory of was, so that a comparison finds any other change.
func withOldCompute(now corev1.Container, was *corev1.Container) corev1.Container {
	now.Resources = oldCompute(&now.Resources, &was.Resources)
	now.ResizePolicy = was.ResizePolicy
	return now
}

func oldCompute(now, was *corev1.ResourceRequirements) corev1.ResourceRequirements {
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

// withoutComputeChanges is next with all that a resize may change put back.
func withoutComputeChanges(next, old *corev1.PodSpec) *corev1.PodSpec {
	rest := next.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i] = withOldCompute(rest.Containers[i], &old.Containers[i])
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i] = withOldCompute(rest.InitContainers[i], &old.InitContainers[i])
	}
	if rest.Resources != nil && old.Resources != nil {
		r := oldCompute(rest.Resources, old.Resources)
		rest.Resources = &r
	}
	return rest
}
