package resource

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatingAdmissionPolicies() *Row {
	return Row{
		Resource: "validatingadmissionpolicies", Singular: "validatingadmissionpolicy", Kind: "ValidatingAdmissionPolicy",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[admissionv1.ValidatingAdmissionPolicy, admissionv1.ValidatingAdmissionPolicyList](
			admissionv1.SchemeGroupVersion)},
		Prefix:  "validatingadmissionpolicies",
		Unowned: map[string][]string{"status": {"metadata", "spec"}},
		Columns: policyColumns("Validations",
			"Validations indicates the number of validation rules defined in this configuration"),
	}.with(rules(Rules[*admissionv1.ValidatingAdmissionPolicy]{
		Default: func(p *admissionv1.ValidatingAdmissionPolicy) {
			orPtr(&p.Spec.FailurePolicy, admissionv1.Fail)
			defaultMatchResources(p.Spec.MatchConstraints)
		},
		PrepareCreate: func(p *admissionv1.ValidatingAdmissionPolicy) {
			p.Status = admissionv1.ValidatingAdmissionPolicyStatus{}
			p.Generation = 1
		},
		PrepareUpdate: func(next, old *admissionv1.ValidatingAdmissionPolicy) {
			next.Status = old.Status
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(p *admissionv1.ValidatingAdmissionPolicy) field.ErrorList {
			return append(anyFinalizers(p, false, subdomainName), validateValidatingPolicy(p, policyLeniency{})...)
		},
		ValidateUpdate: func(next, old *admissionv1.ValidatingAdmissionPolicy) field.ErrorList {
			return append(anyFinalizers(next, false, subdomainName), validateValidatingPolicy(next, lenientPolicy(next, old))...)
		},
		Warnings: func(next, _ *admissionv1.ValidatingAdmissionPolicy) []string { return staticNameWarnings(next) },
		PrepareStatus: func(next, old *admissionv1.ValidatingAdmissionPolicy) {
			next.Spec = old.Spec
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: validateValidatingPolicyStatus,
		Cells: func(p *admissionv1.ValidatingAdmissionPolicy, now time.Time) []any {
			return policyCells(p, len(p.Spec.Validations), p.Spec.ParamKind, now)
		},
	}))
}
