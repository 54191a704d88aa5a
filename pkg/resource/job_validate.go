package resource

import (
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// How large an indexed Job may be, so that what its status says of its indexes fits into an object.
const (
	mostAtOnce      = 100_000
	mostFailed      = 100_000
	manyCompletions = 100_000 // above it, where indexes fail on their own, the two below hold
	fewAtOnce       = 10_000
	fewFailed       = 10_000

	longestManager = 63
)

func isIndexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

func validateJobCreate(j *batchv1.Job) field.ErrorList {
	return join(
		validateMeta(withoutPodLabels(j), true, subdomainName),
		validateGeneratedSelector(j),
		validateJobSpec(&j.Spec, atSpec),
		validateJobSelector(&j.Spec, atSpec),
		hostsOfIndexes(j),
	)
}

// withoutPodLabels is j without the labels that its pods have by its name, if that is none for a label: they are wrong where the pods have
// them, and upstream gives them to the Job only later.
func withoutPodLabels(j *batchv1.Job) *batchv1.Job {
	if isLabelValue(j.Name) || !maps.Equal(j.Labels, j.Spec.Template.Labels) {
		return j
	}
	bare := *j
	bare.Labels = maps.Clone(j.Labels)
	for _, l := range jobLabels(j) {
		delete(bare.Labels, l.key)
	}
	return &bare
}

// hostsOfIndexes wants a name from which the pods' host names can be made.
func hostsOfIndexes(j *batchv1.Job) field.ErrorList {
	n := count(j.Spec.Completions)
	if !isIndexed(&j.Spec) || n <= 0 {
		return nil
	}
	last := fmt.Sprintf("%s-%d", j.Name, n-1)
	return when(len(labelName(last, false)) > 0, invalidAt(atMetadata.Child("name"), j.Name, "will not able to create pod with invalid DNS label: "+last))
}

// validateGeneratedSelector wants a selector that the server has made to select the pods of this Job and of no other.
func validateGeneratedSelector(j *batchv1.Job) field.ErrorList {
	if isTrue(j.Spec.ManualSelector) || j.Spec.Selector == nil {
		return nil
	}
	errs := when(j.UID == "", requiredAt(atMetadata.Child("uid"), ""))
	set := labels.Set{}
	for _, l := range jobLabels(j) {
		set[l.key] = l.value
		errs = append(errs, hasLabel(j.Spec.Template.Labels, l, newPlace("spec", "template", "metadata", "labels").Key(l.key))...)
	}
	selector, err := metav1.LabelSelectorAsSelector(j.Spec.Selector)
	return append(errs, when(err == nil && !selector.Matches(set),
		invalidAt(atSpec.Child("selector"), j.Spec.Selector, "`selector` not auto-generated"))...)
}

func hasLabel(have map[string]string, want label, path *place) field.ErrorList {
	value, ok := have[want.key]
	switch must := fmt.Sprintf("must be '%s'", want.value); {
	case !ok:
		return field.ErrorList{requiredAt(path, must)}
	case value != want.value:
		return field.ErrorList{invalidAt(path, have, must)}
	}
	return nil
}

// validateJobSelector wants a selector that selects the pods of the template.
func validateJobSelector(s *batchv1.JobSpec, path *place) field.ErrorList {
	at := path.Child("selector")
	errs := when(s.Selector == nil, requiredAt(at, ""))
	if s.Selector != nil {
		errs = metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, at.path())
	}
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil {
		errs = append(errs, templateMatches(&s.Template, selector, path.Child("template"))...)
	}
	return errs
}

// validateJobSpec is for a Job and for those of a CronJob, which have no selector yet.
func validateJobSpec(s *batchv1.JobSpec, path *place) field.ErrorList {
	errs := join(
		given(s.Parallelism, path.Child("parallelism"), counts[int32]),
		given(s.Completions, path.Child("completions"), counts[int32]),
		given(s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"), counts[int64]),
		given(s.BackoffLimit, path.Child("backoffLimit"), counts[int32]),
		given(s.TTLSecondsAfterFinished, path.Child("ttlSecondsAfterFinished"), counts[int32]),
		given(s.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"), counts[int32]),
		given(s.MaxFailedIndexes, path.Child("maxFailedIndexes"), counts[int32]),
		when(s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil,
			requiredAt(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified")),
		given(s.ManagedBy, path.Child("managedBy"), validateManager),
		given(s.CompletionMode, path.Child("completionMode"), completionMode),
	)
	if isIndexed(s) {
		errs = append(errs, validateIndexedJob(s, path)...)
	}
	if s.CompletionMode == nil || *s.CompletionMode == batchv1.NonIndexedCompletion {
		const wrong = "requires indexed completion mode"
		if n := s.BackoffLimitPerIndex; n != nil {
			errs = append(errs, invalidAt(path.Child("backoffLimitPerIndex"), *n, wrong))
		}
		if n := s.MaxFailedIndexes; n != nil {
			errs = append(errs, invalidAt(path.Child("maxFailedIndexes"), *n, wrong))
		}
	}
	return join(errs,
		validatePodFailurePolicy(s, path.Child("podFailurePolicy")),
		validateSuccessPolicy(s, path.Child("successPolicy")),
		podReplacement(s, path.Child("podReplacementPolicy")),
		validatePodTemplate(&s.Template, path.Child("template")),
		jobRestarts(s, path.Child("template", "spec", "restartPolicy")),
	)
}

// counts is nonNegative for an optional number.
func counts[T int32 | int64](n *T, path *place) field.ErrorList { return nonNegative(int64(*n), path) }

func validateManager(name *string, path *place) field.ErrorList {
	return append(validation.IsDomainPrefixedPath(path.path(), *name),
		when(len(*name) > longestManager, tooLongAt(path, *name, longestManager))...)
}

func completionMode(m *batchv1.CompletionMode, path *place) field.ErrorList {
	return oneOf(*m, path, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
}

func validateIndexedJob(s *batchv1.JobSpec, path *place) field.ErrorList {
	const mode, failing = batchv1.IndexedCompletion, "and used with backoff limit per index"
	parallel, failed := path.Child("parallelism"), path.Child("maxFailedIndexes")
	n, atOnce, most := count(s.Completions), count(s.Parallelism), count(s.MaxFailedIndexes)
	errs := join(
		when(s.Completions == nil, requiredAt(path.Child("completions"), fmt.Sprintf("when completion mode is %s", mode))),
		when(atOnce > mostAtOnce, invalidAt(parallel, atOnce, fmt.Sprintf("must be less than or equal to %d when completion mode is %s", mostAtOnce, mode))),
		when(s.Completions != nil && most > n, invalidAt(failed, most, "must be less than or equal to completions")),
		when(most > mostFailed, invalidAt(failed, most, fmt.Sprintf("must be less than or equal to %d", mostFailed))),
	)
	if n <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return errs
	}
	return join(errs,
		when(s.MaxFailedIndexes == nil, requiredAt(failed, fmt.Sprintf("must be specified when completions is above %d", manyCompletions))),
		when(atOnce > fewAtOnce, invalidAt(parallel, atOnce,
			fmt.Sprintf("must be less than or equal to %d when completions are above %d %s", fewAtOnce, manyCompletions, failing))),
		when(most > fewFailed, invalidAt(failed, most,
			fmt.Sprintf("must be less than or equal to %d when completions are above %d %s", fewFailed, manyCompletions, failing))),
	)
}

func podReplacement(s *batchv1.JobSpec, path *place) field.ErrorList {
	switch {
	case s.PodReplacementPolicy == nil:
		return nil
	case s.PodFailurePolicy != nil: // which only judges pods that have ended
		return oneOf(*s.PodReplacementPolicy, path, batchv1.Failed)
	}
	return oneOf(*s.PodReplacementPolicy, path, batchv1.Failed, batchv1.TerminatingOrFailed)
}

// jobRestarts wants pods that end.
func jobRestarts(s *batchv1.JobSpec, path *place) field.ErrorList {
	const onFailure, never = corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	switch p := s.Template.Spec.RestartPolicy; {
	case p == corev1.RestartPolicyAlways, p == "":
		return field.ErrorList{requiredAt(path, fmt.Sprintf("valid values: %q, %q", onFailure, never))}
	case p != onFailure && p != never:
		return field.ErrorList{notSupportedAt(path, p, []corev1.RestartPolicy{onFailure, never})}
	case s.PodFailurePolicy != nil && p != never:
		return field.ErrorList{invalidAt(path, p, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", never))}
	}
	return nil
}
