package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateWorkloadSelector validates the selector of a kind that makes pods, and returns it unless it makes no sense. One
// that is missing selects nothing, not even the pods of the template.
func validateWorkloadSelector(s *metav1.LabelSelector, kind string, path *place) (labels.Selector, field.ErrorList) {
	if s == nil {
		return labels.Nothing(), field.ErrorList{requiredAt(path, "")}
	}
	errs := metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path.path())
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		errs = append(errs, invalidAt(path, s, "empty selector is invalid for "+kind))
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, append(errs, invalidAt(path, s, "invalid label selector"))
	}
	return selector, errs
}

// validateReplicaTemplate validates the template of a kind whose pods are replicas of each other, for as long as
// nobody deletes them: they must match its selector, always restart and know no deadline.
func validateReplicaTemplate(t *corev1.PodTemplateSpec, selector labels.Selector, path *place) field.ErrorList {
	var errs field.ErrorList
	if !selector.Empty() {
		errs = templateMatches(t, selector, path)
	}
	return join(errs, validatePodTemplate(t, path), runsForever(t, "ReplicaSet", path))
}

// runsForever wants pods that restart whatever happens and know no deadline.
func runsForever(t *corev1.PodTemplateSpec, kind string, path *place) field.ErrorList {
	spec, policy := path.Child("spec"), t.Spec.RestartPolicy
	return join(
		when(policy != corev1.RestartPolicyAlways,
			notSupportedAt(spec.Child("restartPolicy"), policy, []corev1.RestartPolicy{corev1.RestartPolicyAlways})),
		when(t.Spec.ActiveDeadlineSeconds != nil,
			forbiddenAt(spec.Child("activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported")),
	)
}

// templateMatches wants the pods of the template to be those that the selector selects.
func templateMatches(t *corev1.PodTemplateSpec, selector labels.Selector, path *place) field.ErrorList {
	return when(!selector.Matches(labels.Set(t.Labels)),
		invalidAt(path.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
}

// validatePodTemplate validates what a controller makes pods of.
func validatePodTemplate(t *corev1.PodTemplateSpec, path *place) field.ErrorList {
	return locate(path, func(path *place) field.ErrorList { return validateTemplateAt(t, path) })
}

func validateTemplateAt(t *corev1.PodTemplateSpec, path *place) field.ErrorList {
	annotations, spec := path.Child("annotations"), path.Child("spec")
	return join(
		labelMap(t.Labels, path.Child("labels")),
		apivalidation.ValidateAnnotations(t.Annotations, annotations.path()),
		validatePodAnnotations(t.Annotations, &t.Spec, annotations),
		validatePodSpec(&t.Spec, nil, spec),
		seccompProfilesMatch(t.Annotations, &t.Spec, spec),
		when(len(t.Spec.EphemeralContainers) > 0, forbiddenAt(spec.Child("ephemeralContainers"), "ephemeral containers not allowed in pod template")),
	)
}

// nonNegative validates a number that counts something.
func nonNegative(n int64, path *place) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(n, path.path())
}

// nameWarnings tell of names that are legal, but not as part of a host name.
func nameWarnings(name, use string) []string {
	if messages := labelName(name, false); len(messages) > 0 {
		return []string{fmt.Sprintf("metadata.name: this is used in %s, which can result in surprising behavior; a DNS label is recommended: %v", use, messages)}
	}
	return nil
}

// workloadWarnings are those of a kind that makes pods; those of an unchanged template were given before.
func workloadWarnings(obj Object, created, unchanged bool, t *corev1.PodTemplateSpec) []string {
	if unchanged {
		return nil
	}
	var all []string
	if created {
		all = nameWarnings(obj.GetName(), "Pod names and hostnames")
	}
	return append(all, podTemplateWarnings(t, newPlace("spec", "template"))...)
}
