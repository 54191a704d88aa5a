package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podScope says what a PodSpec is part of.
type podScope struct {
	// pod is set for a pod itself, unset for a template.
	pod bool
}

func validatePodCreate(p *corev1.Pod) field.ErrorList {
	errs := validateMeta(p, true, subdomainName)
	errs = append(errs, validatePodAnnotations(p.Annotations, &p.Spec, field.NewPath("metadata", "annotations"))...)
	return append(errs, validatePodSpec(&p.Spec, p, field.NewPath("spec"), podScope{pod: true})...)
}

func validatePodAnnotations(annotations map[string]string, s *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if v, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && s.NodeName == "" {
		errs = append(errs, field.Invalid(path.Key(corev1.MirrorPodAnnotationKey), v, "must set spec.nodeName if mirror pod annotation is set"))
	}
	return errs
}

func validatePodSpec(s *corev1.PodSpec, p *corev1.Pod, path *field.Path, scope podScope) field.ErrorList {
	var errs field.ErrorList
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("containers"), ""))
	}
	for i := range s.Containers {
		c, path := &s.Containers[i], path.Child("containers").Index(i)
		if c.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), ""))
		} else {
			errs = append(errs, invalid(path.Child("name"), c.Name, validation.IsDNS1123Label(c.Name))...)
		}
		if c.Image == "" {
			errs = append(errs, field.Required(path.Child("image"), ""))
		}
	}
	return errs
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func validatePodUpdate(next, old *corev1.Pod) field.ErrorList {
	return append(validateMetaUpdate(next, old), validatePodSpec(&next.Spec, next, field.NewPath("spec"), podScope{pod: true})...)
}

func validatePodStatusUpdate(next, old *corev1.Pod) field.ErrorList {
	return validateMetaUpdate(next, old)
}

func validateEphemeralContainersUpdate(next, old *corev1.Pod) field.ErrorList {
	return validateMetaUpdate(next, old)
}

func validatePodResize(next, old *corev1.Pod) field.ErrorList {
	return validateMetaUpdate(next, old)
}

func podWarnings(next, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	return nameWarnings(next.Name, "the Pod's hostname")
}

func podTemplateWarnings(next, old *corev1.PodTemplateSpec, path *field.Path) []string { return nil }
