package resource

import (
	"time"

	policyv1 "k8s.io/api/policy/v1"
	namepath "k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func podDisruptionBudgets() *Row {
	return Row{
		Resource: "poddisruptionbudgets", Singular: "poddisruptionbudget", Kind: "PodDisruptionBudget",
		ShortNames: []string{"pdb"},
		Namespaced: true,
		Versions:   []Version{servedAs[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetList](policyv1.SchemeGroupVersion)},
		Prefix:     "poddisruptionbudgets",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Min Available", "The minimum number of pods that must be available."),
			column("Max Unavailable", "The maximum number of pods that may be unavailable."),
			integer(column("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.")),
			ageColumn,
		},
		CreateOnUpdate: true,
	}.with(rules(Rules[*policyv1.PodDisruptionBudget]{
		PrepareCreate: func(b *policyv1.PodDisruptionBudget) {
			b.Status = policyv1.PodDisruptionBudgetStatus{}
			b.Generation = 1
		},
		PrepareUpdate: func(next, old *policyv1.PodDisruptionBudget) {
			next.Status = *old.Status.DeepCopy()
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: validateBudget,
		ValidateUpdate: func(next, _ *policyv1.PodDisruptionBudget) field.ErrorList {
			return validateBudgetSpec(&next.Spec, atSpec)
		},
		Cells: func(b *policyv1.PodDisruptionBudget, now time.Time) []any {
			return []any{b.Name, orNotApplicable(b.Spec.MinAvailable), orNotApplicable(b.Spec.MaxUnavailable), int64(b.Status.DisruptionsAllowed), age(b, now)}
		},
		PrepareStatus: func(next, old *policyv1.PodDisruptionBudget) {
			next.Spec, next.Generation = *old.Spec.DeepCopy(), old.Generation
		},
		ValidateStatus: validateBudgetStatus,
	}))
}

func orNotApplicable(v *intstr.IntOrString) string {
	if v == nil {
		return "N/A"
	}
	return v.String()
}

// validateBudget has no rule for the name but that it fits into a path, and says so only if all else is right.
func validateBudget(b *policyv1.PodDisruptionBudget) field.ErrorList {
	if errs := validateBudgetSpec(&b.Spec, atSpec); len(errs) > 0 {
		return errs
	}
	return validateMeta(b, true, namepath.ValidatePathSegmentName)
}

func validateBudgetSpec(s *policyv1.PodDisruptionBudgetSpec, path *place) field.ErrorList {
	amount := func(v *intstr.IntOrString, path *place) field.ErrorList {
		return append(validateIntOrPercent(*v, path), atMostAll(*v, path)...)
	}
	errs := join(
		when(s.MinAvailable != nil && s.MaxUnavailable != nil, invalidAt(path, bare(s), "minAvailable and maxUnavailable cannot be both set")),
		given(s.MinAvailable, path.Child("minAvailable"), amount),
		given(s.MaxUnavailable, path.Child("maxUnavailable"), amount),
		metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, path.Child("selector").path()),
	)
	if p := s.UnhealthyPodEvictionPolicy; p != nil {
		errs = append(errs, oneOf(*p, path.Child("unhealthyPodEvictionPolicy"), policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
	}
	return errs
}

func validateBudgetStatus(next, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	s, path := &next.Status, atStatus
	return join(
		metavalidation.ValidateConditions(s.Conditions, path.Child("conditions").path()),
		nonNegative(int64(s.DisruptionsAllowed), path.Child("disruptionsAllowed")),
		nonNegative(int64(s.CurrentHealthy), path.Child("currentHealthy")),
		nonNegative(int64(s.DesiredHealthy), path.Child("desiredHealthy")),
		nonNegative(int64(s.ExpectedPods), path.Child("expectedPods")),
	)
}
