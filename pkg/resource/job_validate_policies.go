package resource

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The sizes that a Job's policies may have.
const (
	mostFailureRules  = 20
	mostExitCodes     = 255
	mostPodConditions = 20
	mostSuccessRules  = 20
	longestIndexes    = 64 * 1024
)

// validatePodFailurePolicy validates what is done about pods that fail.
func validatePodFailurePolicy(s *batchv1.JobSpec, path *place) field.ErrorList {
	if s.PodFailurePolicy == nil {
		return nil
	}
	names := taken{}
	for _, list := range [][]corev1.Container{s.Template.Spec.Containers, s.Template.Spec.InitContainers} {
		for _, c := range list {
			names.claim(c.Name)
		}
	}
	rules := s.PodFailurePolicy.Rules
	path = path.Child("rules")
	return append(when(len(rules) > mostFailureRules, tooManyAt(path, len(rules), mostFailureRules)),
		each(rules, path, func(r *batchv1.PodFailurePolicyRule, path *place) field.ErrorList {
			return validateFailureRule(s, r, names, path)
		})...)
}

func validateFailureRule(s *batchv1.JobSpec, r *batchv1.PodFailurePolicyRule, names taken, path *place) field.ErrorList {
	var errs field.ErrorList
	if action := path.Child("action"); r.Action == batchv1.PodFailurePolicyActionFailIndex {
		errs = when(s.BackoffLimitPerIndex == nil, invalidAt(action, r.Action, "requires the backoffLimitPerIndex to be set"))
	} else {
		errs = listedOneOf(r.Action, action, batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)
	}
	codes, conditions := r.OnExitCodes != nil, len(r.OnPodConditions) > 0
	at := path.Child("onPodConditions")
	return join(errs,
		given(r.OnExitCodes, path.Child("onExitCodes"), func(c *batchv1.PodFailurePolicyOnExitCodesRequirement, path *place) field.ErrorList {
			return validateExitCodes(c, names, path)
		}),
		when(len(r.OnPodConditions) > mostPodConditions, tooManyAt(at, len(r.OnPodConditions), mostPodConditions)),
		each(r.OnPodConditions, at, validateFailureCondition),
		when(codes && conditions, invalidAt(path, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported")),
		when(!codes && !conditions, invalidAt(path, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required")),
	)
}

// listedOneOf is presentOneOf for where a missing value is answered with what there is to choose from.
func listedOneOf[T ~string](v T, path *place, known ...T) field.ErrorList {
	if v == "" {
		return field.ErrorList{requiredAt(path, fmt.Sprintf("valid values: %q", known))}
	}
	return oneOf(v, path, known...)
}

func validateFailureCondition(c *batchv1.PodFailurePolicyOnPodConditionsPattern, path *place) field.ErrorList {
	return join(
		qualifiedName(string(c.Type), path.Child("type")),
		listedOneOf(c.Status, path.Child("status"), corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown),
	)
}

func validateExitCodes(c *batchv1.PodFailurePolicyOnExitCodesRequirement, names taken, path *place) field.ErrorList {
	in := batchv1.PodFailurePolicyOnExitCodesOpIn
	errs := listedOneOf(c.Operator, path.Child("operator"), in, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if c.ContainerName != nil && !names[*c.ContainerName] {
		errs = append(errs, invalidAt(path.Child("containerName"), *c.ContainerName, "must be one of the container or initContainer names in the pod template"))
	}
	at := path.Child("values")
	errs = join(errs,
		when(len(c.Values) == 0, invalidAt(at, c.Values, "at least one value is required")),
		when(len(c.Values) > mostExitCodes, tooManyAt(at, len(c.Values), mostExitCodes)),
	)
	seen := map[int32]bool{}
	for i, v := range c.Values {
		errs = join(errs,
			when(c.Operator == in && v == 0, invalidAt(at.Index(i), v, "must not be 0 for the In operator")),
			when(seen[v], duplicateAt(at.Index(i), v)),
		)
		seen[v] = true
	}
	return append(errs, when(!slices.IsSorted(c.Values), invalidAt(at, c.Values, "must be ordered"))...)
}

// validateSuccessPolicy validates which indexes have to succeed for the Job to.
func validateSuccessPolicy(s *batchv1.JobSpec, path *place) field.ErrorList {
	switch {
	case s.SuccessPolicy == nil:
		return nil
	case !isIndexed(s):
		return field.ErrorList{invalidAt(path, bare(s.SuccessPolicy), "requires indexed completion mode")}
	}
	rules := s.SuccessPolicy.Rules
	path = path.Child("rules")
	return join(
		when(len(rules) == 0, requiredAt(path, "at least one rules must be specified when the successPolicy is specified")),
		when(len(rules) > mostSuccessRules, tooManyAt(path, len(rules), mostSuccessRules)),
		each(rules, path, func(r *batchv1.SuccessPolicyRule, path *place) field.ErrorList {
			return validateSuccessRule(r, count(s.Completions), path)
		}),
	)
}

func validateSuccessRule(r *batchv1.SuccessPolicyRule, completions int32, path *place) field.ErrorList {
	errs := when(r.SucceededCount == nil && r.SucceededIndexes == nil,
		requiredAt(path, "at least one of succeededCount or succeededIndexes must be specified"))
	var listed int32
	if r.SucceededIndexes != nil {
		at, text := path.Child("succeededIndexes"), *r.SucceededIndexes
		n, err := countIndexes(text, completions)
		listed = n
		errs = append(errs, when(len(text) > longestIndexes, tooLongAt(at, text, longestIndexes))...)
		if err != nil {
			errs = append(errs, invalidAt(at, text, fmt.Sprintf("error parsing succeededIndexes: %s", err)))
		}
	}
	if r.SucceededCount == nil {
		return errs
	}
	at, n := path.Child("succeededCount"), *r.SucceededCount
	return join(errs,
		nonNegative(int64(n), at),
		when(n > completions, invalidAt(at, n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions))),
		when(r.SucceededIndexes != nil && n > listed, invalidAt(at, n,
			fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", listed))),
	)
}
