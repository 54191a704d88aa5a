package resource

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A scope narrows a quota to some pods, or some claims. It goes only with resources that these have.

var (
	podResources = []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
	}
	claimResources = []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage}
)

// scopeResources are what each scope can narrow: what asks for nothing can only be counted.
var scopeResources = map[corev1.ResourceQuotaScope][]corev1.ResourceName{
	corev1.ResourceQuotaScopeTerminating:               podResources,
	corev1.ResourceQuotaScopeNotTerminating:            podResources,
	corev1.ResourceQuotaScopeBestEffort:                podResources[:1],
	corev1.ResourceQuotaScopeNotBestEffort:             podResources,
	corev1.ResourceQuotaScopePriorityClass:             podResources,
	corev1.ResourceQuotaScopeCrossNamespacePodAffinity: podResources,
	corev1.ResourceQuotaScopeVolumeAttributesClass:     claimResources,
}

// scopeMisfits counts the standard resources of the quota that scope cannot narrow. An unknown scope is refused for itself.
func scopeMisfits(s *corev1.ResourceQuotaSpec, scope corev1.ResourceQuotaScope) int {
	fitting, known := scopeResources[scope]
	n := 0
	for name := range s.Hard {
		if known && isStandardQuota(name) && !slices.Contains(fitting, name) {
			n++
		}
	}
	return n
}

func quotaScopes(s *corev1.ResourceQuotaSpec, path *place) field.ErrorList {
	var errs field.ErrorList
	for _, scope := range s.Scopes {
		_, known := scopeResources[scope]
		errs = append(errs, when(!known, invalidAt(path, s.Scopes, "unsupported scope"))...)
		for range scopeMisfits(s, scope) {
			errs = append(errs, invalidAt(path, s.Scopes, "unsupported scope applied to resource"))
		}
	}
	return append(errs, conflictingScopes(s.Scopes, s.Scopes, path)...)
}

func quotaScopeSelector(s *corev1.ResourceQuotaSpec, path *place) field.ErrorList {
	var errs field.ErrorList
	var scopes []corev1.ResourceQuotaScope
	for _, r := range s.ScopeSelector.MatchExpressions {
		_, known := scopeResources[r.ScopeName]
		errs = append(errs, when(!known, invalidAt(path.Child("scopeName"), r.ScopeName, "unsupported scope"))...)
		for range scopeMisfits(s, r.ScopeName) {
			errs = append(errs, invalidGoAt(path, s.ScopeSelector, "unsupported scope applied to resource"))
		}
		errs = append(errs, scopeOperator(&r, path)...)
		scopes = append(scopes, r.ScopeName)
	}
	return append(errs, conflictingScopes(scopes, s.Scopes, path)...)
}

func scopeOperator(r *corev1.ScopedResourceSelectorRequirement, path *place) field.ErrorList {
	// Classes have names to compare; the other scopes hold or do not.
	byName := r.ScopeName == corev1.ResourceQuotaScopePriorityClass || r.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass
	_, known := scopeResources[r.ScopeName]
	errs := when(known && !byName && r.Operator != corev1.ScopeSelectorOpExists, invalidAt(path.Child("operator"), r.Operator,
		"must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "+
			"ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
	switch values := path.Child("values"); r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		return append(errs, when(len(r.Values) == 0, requiredAt(values,
			"must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))...)
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		return append(errs, when(len(r.Values) != 0, invalidAt(values, r.Values,
			"must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))...)
	}
	return append(errs, invalidAt(path.Child("operator"), r.Operator, "not a valid selector operator"))
}

// conflictingScopes refuses scopes that leave nothing to count. shown is what the message shows of the quota.
func conflictingScopes(scopes, shown []corev1.ResourceQuotaScope, path *place) field.ErrorList {
	both := func(a, b corev1.ResourceQuotaScope) field.ErrorList {
		return when(slices.Contains(scopes, a) && slices.Contains(scopes, b), invalidAt(path, shown, "conflicting scopes"))
	}
	return join(
		both(corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort),
		both(corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating),
	)
}
