package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateDaemonSet(d *appsv1.DaemonSet) field.ErrorList {
	return append(validateMeta(d, true, subdomainName), validateDaemonSetSpec(&d.Spec, atSpec)...)
}

func validateDaemonSetUpdate(next, old *appsv1.DaemonSet) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		immutable(next.Spec.Selector, old.Spec.Selector, atSpec.Child("selector")),
		validateDaemonSetSpec(&next.Spec, atSpec),
	)
}

func validateDaemonSetSpec(s *appsv1.DaemonSetSpec, path *place) field.ErrorList {
	at, template := path.Child("selector"), path.Child("template")
	errs := metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, at.path())
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil {
		errs = append(errs, templateMatches(&s.Template, selector, template)...)
	}
	empty := s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0
	errs = join(errs,
		when(empty, invalidAt(at, s.Selector, "empty selector is invalid for daemonset")),
		validatePodTemplate(&s.Template, template),
		runsForever(&s.Template, "DaemonSet", template),
		nonNegative(int64(s.MinReadySeconds), path.Child("minReadySeconds")),
		validateDaemonSetStrategy(&s.UpdateStrategy, path.Child("updateStrategy")),
	)
	if s.RevisionHistoryLimit != nil {
		errs = append(errs, nonNegative(int64(*s.RevisionHistoryLimit), path.Child("revisionHistoryLimit"))...)
	}
	return errs
}

func validateDaemonSetStrategy(s *appsv1.DaemonSetUpdateStrategy, path *place) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch {
	case s.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case s.Type != appsv1.RollingUpdateDaemonSetStrategyType:
		return field.ErrorList{notSupportedAt(path, bareStrategy(string(s.Type), rolledBy((*appsv1.RollingUpdateDeployment)(s.RollingUpdate))), []appsv1.DaemonSetUpdateStrategyType{
			appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType})}
	case s.RollingUpdate == nil:
		return field.ErrorList{requiredAt(rolling, "")}
	}
	return validateRollingDaemonSet(s.RollingUpdate, rolling)
}

// validateRollingDaemonSet wants one of the two ways to replace a pod: take the old one down first, or bring the new one
// up beside it.
func validateRollingDaemonSet(r *appsv1.RollingUpdateDaemonSet, path *place) field.ErrorList {
	down, up := path.Child("maxUnavailable"), path.Child("maxSurge")
	unavailable, surge := intstrOf(r.MaxUnavailable), intstrOf(r.MaxSurge)
	return join(
		validateIntOrPercent(unavailable, down),
		validateIntOrPercent(surge, up),
		atMostAll(unavailable, down),
		atMostAll(surge, up),
		when(amount(unavailable) != 0 && amount(surge) != 0, invalidAt(up, surge, "may not be set when maxUnavailable is non-zero")),
		when(amount(unavailable) == 0 && amount(surge) == 0, requiredAt(down, "cannot be 0 when maxSurge is 0")),
	)
}

// atMostAll refuses more than 100%.
func atMostAll(v intstr.IntOrString, path *place) field.ErrorList {
	n, percent := percentOf(v)
	return when(percent && n > 100, invalidAt(path, v, "must not be greater than 100%"))
}

func validateDaemonSetStatusUpdate(next, old *appsv1.DaemonSet) field.ErrorList {
	path, s := atStatus, &next.Status
	return join(
		validateMetaUpdate(next, old),
		nonNegative(int64(s.CurrentNumberScheduled), path.Child("currentNumberScheduled")),
		nonNegative(int64(s.NumberMisscheduled), path.Child("numberMisscheduled")),
		nonNegative(int64(s.DesiredNumberScheduled), path.Child("desiredNumberScheduled")),
		nonNegative(int64(s.NumberReady), path.Child("numberReady")),
		nonNegative(s.ObservedGeneration, path.Child("observedGeneration")),
		nonNegative(int64(s.UpdatedNumberScheduled), path.Child("updatedNumberScheduled")),
		nonNegative(int64(s.NumberAvailable), path.Child("numberAvailable")),
		nonNegative(int64(s.NumberUnavailable), path.Child("numberUnavailable")),
		nonNegative(int64(count(s.CollisionCount)), path.Child("collisionCount")),
		validateCollisionCount(s.CollisionCount, old.Status.CollisionCount, path.Child("collisionCount")),
	)
}

func daemonSetWarnings(next, old *appsv1.DaemonSet) []string {
	if old != nil && templateGeneration(next) == templateGeneration(old) {
		return nil
	}
	return podTemplateWarnings(&next.Spec.Template, newPlace("spec", "template"))
}
