package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateDeployment(d *appsv1.Deployment) field.ErrorList {
	return append(validateMeta(d, true, subdomainName), validateDeploymentSpec(&d.Spec, newPlace("spec"))...)
}

func validateDeploymentUpdate(next, old *appsv1.Deployment) field.ErrorList {
	path := newPlace("spec")
	errs := append(validateMetaUpdate(next, old), validateDeploymentSpec(&next.Spec, path)...)
	return append(errs, immutable(next.Spec.Selector, old.Spec.Selector, path.Child("selector"))...)
}

func validateDeploymentSpec(s *appsv1.DeploymentSpec, path *place) field.ErrorList {
	errs := nonNegative(int64(count(s.Replicas)), path.Child("replicas"))
	selector, more := validateWorkloadSelector(s.Selector, "deployment", path.Child("selector"))
	errs = append(errs, more...)
	if selector != nil {
		errs = append(errs, validateReplicaTemplate(&s.Template, selector, path.Child("template"))...)
	}
	errs = append(errs, validateDeploymentStrategy(&s.Strategy, path.Child("strategy"))...)
	errs = append(errs, nonNegative(int64(s.MinReadySeconds), path.Child("minReadySeconds"))...)
	if s.RevisionHistoryLimit != nil {
		errs = append(errs, nonNegative(int64(*s.RevisionHistoryLimit), path.Child("revisionHistoryLimit"))...)
	}
	if d := s.ProgressDeadlineSeconds; d != nil {
		path := path.Child("progressDeadlineSeconds")
		errs = append(errs, nonNegative(int64(*d), path)...)
		if *d <= s.MinReadySeconds {
			errs = append(errs, invalidAt(path, *d, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

func validateDeploymentStrategy(s *appsv1.DeploymentStrategy, path *place) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{forbiddenAt(rolling, "may not be specified when strategy `type` is 'Recreate'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
		if s.RollingUpdate == nil {
			return field.ErrorList{requiredAt(rolling, "this should be defaulted and never be nil")}
		}
		return validateRollingUpdate(s.RollingUpdate, rolling)
	}
	known := []appsv1.DeploymentStrategyType{appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType}
	return field.ErrorList{notSupportedAt(path, bareStrategy(string(s.Type), rolledBy(s.RollingUpdate)), known)}
}

func validateRollingUpdate(r *appsv1.RollingUpdateDeployment, path *place) field.ErrorList {
	unavailable, surge := intstrOf(r.MaxUnavailable), intstrOf(r.MaxSurge)
	errs := append(validateIntOrPercent(unavailable, path.Child("maxUnavailable")), validateIntOrPercent(surge, path.Child("maxSurge"))...)
	if amount(unavailable) == 0 && amount(surge) == 0 {
		errs = append(errs, invalidAt(path.Child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, atMostAll(unavailable, path.Child("maxUnavailable"))...)
}

// bareRolling is a rolling update as messages show it: what is not said is 0.
type bareRolling struct{ MaxUnavailable, MaxSurge intstr.IntOrString }

func rolledBy(r *appsv1.RollingUpdateDeployment) *bareRolling {
	if r == nil {
		return nil
	}
	return &bareRolling{intstrOf(r.MaxUnavailable), intstrOf(r.MaxSurge)}
}

// bareStrategy is an update strategy as messages show it.
func bareStrategy(kind string, rolling any) any {
	return bare(struct {
		Type          string
		RollingUpdate any
	}{kind, rolling})
}

func intstrOf(v *intstr.IntOrString) intstr.IntOrString {
	if v == nil {
		return intstr.IntOrString{}
	}
	return *v
}

// validateIntOrPercent accepts 5 and "5%".
func validateIntOrPercent(v intstr.IntOrString, path *place) field.ErrorList {
	if v.Type == intstr.String {
		return invalid(path, v, validation.IsValidPercent(v.StrVal))
	}
	return nonNegative(int64(v.IntVal), path)
}

// percentOf is the number before the percent sign, if v is a percentage.
func percentOf(v intstr.IntOrString) (int, bool) {
	if v.Type != intstr.String || len(validation.IsValidPercent(v.StrVal)) > 0 {
		return 0, false
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&v, 100, false)
	return n, err == nil
}

// amount is the number in v, be it absolute or a percentage.
func amount(v intstr.IntOrString) int {
	if n, percent := percentOf(v); percent {
		return n
	}
	return v.IntValue()
}

func validateDeploymentStatusUpdate(next, old *appsv1.Deployment) field.ErrorList {
	path := newPlace("status")
	errs := append(validateMetaUpdate(next, old), validateDeploymentStatus(&next.Status, path)...)
	return append(errs, validateCollisionCount(next.Status.CollisionCount, old.Status.CollisionCount, path.Child("collisionCount"))...)
}

func validateDeploymentStatus(s *appsv1.DeploymentStatus, path *place) field.ErrorList {
	errs := nonNegative(s.ObservedGeneration, path.Child("observedGeneration"))
	errs = append(errs, nonNegative(int64(s.Replicas), path.Child("replicas"))...)
	errs = append(errs, nonNegative(int64(s.UpdatedReplicas), path.Child("updatedReplicas"))...)
	errs = append(errs, nonNegative(int64(s.ReadyReplicas), path.Child("readyReplicas"))...)
	errs = append(errs, nonNegative(int64(s.AvailableReplicas), path.Child("availableReplicas"))...)
	errs = append(errs, nonNegative(int64(s.UnavailableReplicas), path.Child("unavailableReplicas"))...)
	if s.TerminatingReplicas != nil {
		errs = append(errs, nonNegative(int64(*s.TerminatingReplicas), path.Child("terminatingReplicas"))...)
	}
	errs = append(errs, nonNegative(int64(count(s.CollisionCount)), path.Child("collisionCount"))...)
	errs = append(errs, atMost(s.UpdatedReplicas, s.Replicas, path.Child("updatedReplicas"), "status.replicas")...)
	errs = append(errs, atMost(s.ReadyReplicas, s.Replicas, path.Child("readyReplicas"), "status.replicas")...)
	errs = append(errs, atMost(s.AvailableReplicas, s.Replicas, path.Child("availableReplicas"), "status.replicas")...)
	return append(errs, atMost(s.AvailableReplicas, s.ReadyReplicas, path.Child("availableReplicas"), "readyReplicas")...)
}

// atMost refuses a count that exceeds the count of what it is part of.
func atMost(part, whole int32, path *place, name string) field.ErrorList {
	if part > whole {
		return field.ErrorList{invalidAt(path, part, "cannot be greater than "+name)}
	}
	return nil
}

// validateCollisionCount keeps the count of hash collisions rising: going back would name a ReplicaSet twice.
func validateCollisionCount(next, old *int32, path *place) field.ErrorList {
	if old == nil || (next != nil && *next >= *old) {
		return nil
	}
	return field.ErrorList{invalidAt(path, count(next), "cannot be decremented")}
}

func deploymentWarnings(next, old *appsv1.Deployment) []string {
	return workloadWarnings(next, old == nil, old != nil && next.Generation == old.Generation, &next.Spec.Template)
}
