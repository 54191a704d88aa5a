package resource

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func mutatingAdmissionPolicyBindings() *Row {
	return Row{
		Resource: "mutatingadmissionpolicybindings", Singular: "mutatingadmissionpolicybinding", Kind: "MutatingAdmissionPolicyBinding",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[admissionv1.MutatingAdmissionPolicyBinding, admissionv1.MutatingAdmissionPolicyBindingList](
			admissionv1.SchemeGroupVersion)},
		Prefix:  "mutatingadmissionpolicybindings",
		Columns: policyBindingColumns(),
	}.with(rules(Rules[*admissionv1.MutatingAdmissionPolicyBinding]{
		Default: func(b *admissionv1.MutatingAdmissionPolicyBinding) {
			defaultMatchResources(b.Spec.MatchResources)
		},
		PrepareCreate: func(b *admissionv1.MutatingAdmissionPolicyBinding) { b.Generation = 1 },
		PrepareUpdate: func(next, old *admissionv1.MutatingAdmissionPolicyBinding) {
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(b *admissionv1.MutatingAdmissionPolicyBinding) field.ErrorList {
			return append(anyFinalizers(b, false, subdomainName), validateMutatingBinding(&b.Spec)...)
		},
		ValidateUpdate: func(next, _ *admissionv1.MutatingAdmissionPolicyBinding) field.ErrorList {
			return append(anyFinalizers(next, false, subdomainName), validateMutatingBinding(&next.Spec)...)
		},
		Warnings: func(next, _ *admissionv1.MutatingAdmissionPolicyBinding) []string { return staticNameWarnings(next) },
		Cells: func(b *admissionv1.MutatingAdmissionPolicyBinding, now time.Time) []any {
			return policyBindingCells(b, b.Spec.PolicyName, b.Spec.ParamRef, now)
		},
	}))
}

func validateMutatingBinding(s *admissionv1.MutatingAdmissionPolicyBindingSpec) field.ErrorList {
	return join(
		validatePolicyName(s.PolicyName, atSpec.Child("policyName")),
		given(s.ParamRef, atSpec.Child("paramRef"), validateParamRef),
		given(s.MatchResources, atSpec.Child("matchResources"), validateMatchResources),
		given(s.MatchResources, atSpec.Child("matchResources"), onlyMutable),
	)
}
