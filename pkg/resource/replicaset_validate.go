package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateReplicaSet(r *appsv1.ReplicaSet) field.ErrorList {
	return append(validateMeta(r, true, subdomainName), validateReplicaSetSpec(&r.Spec, newPlace("spec"))...)
}

func validateReplicaSetUpdate(next, old *appsv1.ReplicaSet) field.ErrorList {
	path := newPlace("spec")
	errs := append(validateMetaUpdate(next, old), validateReplicaSetSpec(&next.Spec, path)...)
	return append(errs, immutable(next.Spec.Selector, old.Spec.Selector, path.Child("selector"))...)
}

func validateReplicaSetSpec(s *appsv1.ReplicaSetSpec, path *place) field.ErrorList {
	errs := nonNegative(int64(count(s.Replicas)), path.Child("replicas"))
	errs = append(errs, nonNegative(int64(s.MinReadySeconds), path.Child("minReadySeconds"))...)
	selector, more := validateWorkloadSelector(s.Selector, "deployment", path.Child("selector"))
	errs = append(errs, more...)
	if selector != nil {
		errs = append(errs, validateReplicaTemplate(&s.Template, selector, path.Child("template"))...)
	}
	return errs
}

func validateReplicaSetStatusUpdate(next, old *appsv1.ReplicaSet) field.ErrorList {
	return append(validateMetaUpdate(next, old), validateReplicaSetStatus(&next.Status, newPlace("status"))...)
}

func validateReplicaSetStatus(s *appsv1.ReplicaSetStatus, path *place) field.ErrorList {
	errs := nonNegative(int64(s.Replicas), path.Child("replicas"))
	errs = append(errs, nonNegative(int64(s.FullyLabeledReplicas), path.Child("fullyLabeledReplicas"))...)
	errs = append(errs, nonNegative(int64(s.ReadyReplicas), path.Child("readyReplicas"))...)
	errs = append(errs, nonNegative(int64(s.AvailableReplicas), path.Child("availableReplicas"))...)
	if s.TerminatingReplicas != nil {
		errs = append(errs, nonNegative(int64(*s.TerminatingReplicas), path.Child("terminatingReplicas"))...)
	}
	errs = append(errs, nonNegative(s.ObservedGeneration, path.Child("observedGeneration"))...)
	errs = append(errs, atMost(s.FullyLabeledReplicas, s.Replicas, path.Child("fullyLabeledReplicas"), "status.replicas")...)
	errs = append(errs, atMost(s.ReadyReplicas, s.Replicas, path.Child("readyReplicas"), "status.replicas")...)
	errs = append(errs, atMost(s.AvailableReplicas, s.Replicas, path.Child("availableReplicas"), "status.replicas")...)
	return append(errs, atMost(s.AvailableReplicas, s.ReadyReplicas, path.Child("availableReplicas"), "readyReplicas")...)
}

func replicaSetWarnings(next, old *appsv1.ReplicaSet) []string {
	return workloadWarnings(next, old == nil, old != nil && next.Generation == old.Generation, &next.Spec.Template)
}
