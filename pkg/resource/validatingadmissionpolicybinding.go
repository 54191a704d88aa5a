package resource

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatingAdmissionPolicyBindings() *Row {
	return Row{
		Resource: "validatingadmissionpolicybindings", Singular: "validatingadmissionpolicybinding", Kind: "ValidatingAdmissionPolicyBinding",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[admissionv1.ValidatingAdmissionPolicyBinding, admissionv1.ValidatingAdmissionPolicyBindingList](
			admissionv1.SchemeGroupVersion)},
		Prefix:  "validatingadmissionpolicybindings",
		Columns: policyBindingColumns(),
	}.with(rules(Rules[*admissionv1.ValidatingAdmissionPolicyBinding]{
		Default: func(b *admissionv1.ValidatingAdmissionPolicyBinding) {
			defaultMatchResources(b.Spec.MatchResources)
		},
		PrepareCreate: func(b *admissionv1.ValidatingAdmissionPolicyBinding) { b.Generation = 1 },
		PrepareUpdate: func(next, old *admissionv1.ValidatingAdmissionPolicyBinding) {
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(b *admissionv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
			return append(anyFinalizers(b, false, subdomainName), validateValidatingBinding(&b.Spec)...)
		},
		ValidateUpdate: func(next, _ *admissionv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
			return append(anyFinalizers(next, false, subdomainName), validateValidatingBinding(&next.Spec)...)
		},
		Warnings: func(next, _ *admissionv1.ValidatingAdmissionPolicyBinding) []string { return staticNameWarnings(next) },
		Cells: func(b *admissionv1.ValidatingAdmissionPolicyBinding, now time.Time) []any {
			return policyBindingCells(b, b.Spec.PolicyName, b.Spec.ParamRef, now)
		},
	}))
}

func validateValidatingBinding(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) field.ErrorList {
	return join(
		given(&s.PolicyName, atSpec.Child("policyName"), func(name *string, path *place) field.ErrorList {
			if *name == "" {
				return declared(validatePolicyName("", path))
			}
			return validatePolicyName(*name, path)
		}),
		given(s.ParamRef, atSpec.Child("paramRef"), validateParamRef),
		given(s.MatchResources, atSpec.Child("matchResources"), validateMatchResources),
		validateActions(s.ValidationActions, atSpec.Child("validationActions")),
	)
}

func validateActions(actions []admissionv1.ValidationAction, at *place) field.ErrorList {
	seen := taken{}
	errs := each(actions, at, func(a *admissionv1.ValidationAction, at *place) field.ErrorList {
		return append(oneOf(*a, at, admissionv1.Audit, admissionv1.Deny, admissionv1.Warn),
			when(!seen.claim(string(*a)), duplicateAt(at, *a))...)
	})
	return join(errs,
		when(seen[string(admissionv1.Deny)] && seen[string(admissionv1.Warn)], invalidAt(at, actions, "must not contain both Deny and Warn "+
			"(repeating the same validation failure information in the API response and headers serves no purpose)")),
		declared(when(len(actions) == 0, requiredAt(at, ""))),
	)
}
