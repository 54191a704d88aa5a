package resource

import (
	"slices"
	"strings"
	"time"

	"bonsai/pkg/resource/expression"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func mutatingAdmissionPolicies() *Row {
	return Row{
		Resource: "mutatingadmissionpolicies", Singular: "mutatingadmissionpolicy", Kind: "MutatingAdmissionPolicy",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[admissionv1.MutatingAdmissionPolicy, admissionv1.MutatingAdmissionPolicyList](
			admissionv1.SchemeGroupVersion)},
		Prefix:  "mutatingadmissionpolicies",
		Columns: policyColumns("Mutations", "Mutation indicates the number of mutations rules defined in this configuration"),
	}.with(rules(Rules[*admissionv1.MutatingAdmissionPolicy]{
		Default: func(p *admissionv1.MutatingAdmissionPolicy) {
			orPtr(&p.Spec.FailurePolicy, admissionv1.Fail)
			defaultMatchResources(p.Spec.MatchConstraints)
		},
		PrepareCreate: func(p *admissionv1.MutatingAdmissionPolicy) { p.Generation = 1 },
		PrepareUpdate: func(next, old *admissionv1.MutatingAdmissionPolicy) {
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(p *admissionv1.MutatingAdmissionPolicy) field.ErrorList {
			return append(anyFinalizers(p, false, subdomainName), validateMutatingPolicy(&p.Spec, nil)...)
		},
		ValidateUpdate: func(next, old *admissionv1.MutatingAdmissionPolicy) field.ErrorList {
			return append(anyFinalizers(next, false, subdomainName), validateMutatingPolicy(&next.Spec, &old.Spec)...)
		},
		Warnings: func(next, _ *admissionv1.MutatingAdmissionPolicy) []string { return staticNameWarnings(next) },
		Cells: func(p *admissionv1.MutatingAdmissionPolicy, now time.Time) []any {
			return policyCells(p, len(p.Spec.Mutations), p.Spec.ParamKind, now)
		},
	}))
}

// storedMutations are the expressions that a policy had before.
func storedMutations(old *admissionv1.MutatingAdmissionPolicySpec) map[string]bool {
	stored := map[string]bool{}
	if old == nil {
		return stored
	}
	for _, c := range old.MatchConditions {
		stored[c.Expression] = true
	}
	for _, v := range old.Variables {
		stored[v.Expression] = true
	}
	for _, m := range old.Mutations {
		if m.ApplyConfiguration != nil {
			stored[m.ApplyConfiguration.Expression] = true
		}
		if m.JSONPatch != nil {
			stored[m.JSONPatch.Expression] = true
		}
	}
	return stored
}

func validateMutatingPolicy(s, old *admissionv1.MutatingAdmissionPolicySpec) field.ErrorList {
	errs := when(s.FailurePolicy == nil, requiredAt(atSpec.Child("failurePolicy"), ""))
	errs = join(errs,
		given(s.FailurePolicy, atSpec.Child("failurePolicy"), failurePolicy),
		given(s.ParamKind, atSpec.Child("paramKind"), validateParamKind),
		validatePolicyMatch(s.MatchConstraints, atSpec.Child("matchConstraints")),
		given(s.MatchConstraints, atSpec.Child("matchConstraints"), onlyMutable),
	)
	stored := storedMutations(old)
	if old == nil || !same(s.ParamKind, old.ParamKind) || !same(s.MatchConditions, old.MatchConditions) {
		errs = append(errs, validateMatchConditions(s.MatchConditions, s.ParamKind != nil, stored, atSpec.Child("matchConditions"))...)
	}
	compiler := expression.New(true)
	sees := expression.Sees{Params: s.ParamKind != nil, Authorizer: true}
	errs = append(errs, validateVariables(compiler, s.Variables, sees, stored, atSpec.Child("variables"))...)
	mutations := atSpec.Child("mutations")
	sees.Patches = true
	return join(errs,
		when(len(s.Mutations) == 0, requiredAt(mutations, "mutations must contain at least one item")),
		each(s.Mutations, mutations, func(m *admissionv1.Mutation, at *place) field.ErrorList {
			return validateMutation(compiler, m, sees, stored, at)
		}),
		presentOneOf(s.ReinvocationPolicy, atSpec.Child("reinvocationPolicy"),
			admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy),
	)
}

// onlyMutable refuses operations that leave nothing to mutate. The place has no index, as upstream.
func onlyMutable(m *admissionv1.MatchResources, at *place) field.ErrorList {
	known := []admissionv1.OperationType{admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Update}
	var errs field.ErrorList
	for _, rule := range m.ResourceRules {
		for _, o := range rule.Operations {
			errs = append(errs, when(!slices.Contains(known, o), notSupportedAt(at.Child("resourceRules", "operations"), o, known))...)
		}
	}
	return errs
}

func validateMutation(c *expression.Compiler, m *admissionv1.Mutation, sees expression.Sees, stored map[string]bool, at *place) field.ErrorList {
	apply, patch := at.Child("applyConfiguration"), at.Child("jsonPatch")
	check := func(text string, returns []*cel.Type, at *place) field.ErrorList {
		text = strings.TrimSpace(text)
		if text == "" {
			return field.ErrorList{requiredAt(at, "")}
		}
		return compiles(c, text, sees, returns, stored, at)
	}
	switch m.PatchType {
	case admissionv1.PatchTypeJSONPatch:
		errs := when(m.JSONPatch == nil, requiredAt(patch, "must be specified when patchType is JSONPatch"))
		if m.JSONPatch != nil {
			errs = check(m.JSONPatch.Expression, expression.Patch, patch.Child("expression"))
		}
		return append(errs, when(m.ApplyConfiguration != nil,
			invalidAt(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))...)
	case admissionv1.PatchTypeApplyConfiguration:
		errs := when(m.ApplyConfiguration == nil, requiredAt(apply, "must be specified when patchType is ApplyConfiguration"))
		if m.ApplyConfiguration != nil {
			errs = check(m.ApplyConfiguration.Expression, expression.Config, apply.Child("expression"))
		}
		return append(errs, when(m.JSONPatch != nil,
			invalidAt(patch, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))...)
	}
	return presentOneOf(m.PatchType, at.Child("patchType"), admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch)
}
