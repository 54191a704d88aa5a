package resource

import (
	"fmt"
	"strings"

	"bonsai/pkg/resource/expression"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"
)

const (
	maxAuditAnnotations = 20
	// maxAuditExpression is half of what an annotation may hold: an expression that joins texts makes more than it is long.
	maxAuditExpression = 5 << 10
)

// policyLeniency is what an update lets pass because the policy has it already. The zero value, for a new policy, is nothing.
type policyLeniency struct {
	conditions bool
	// What was stored before may use all functions of CEL. Each place has its own, as upstream.
	matching, validations, messages, audits map[string]bool
}

func lenientPolicy(next, old *admissionv1.ValidatingAdmissionPolicy) policyLeniency {
	l := policyLeniency{
		conditions: same(next.Spec.ParamKind, old.Spec.ParamKind) && same(next.Spec.MatchConditions, old.Spec.MatchConditions),
		matching:   map[string]bool{}, validations: map[string]bool{}, messages: map[string]bool{}, audits: map[string]bool{},
	}
	for _, c := range old.Spec.MatchConditions {
		l.matching[c.Expression] = true
	}
	for _, v := range old.Spec.Validations {
		l.validations[v.Expression] = true
		l.messages[v.MessageExpression] = true
	}
	for _, a := range old.Spec.AuditAnnotations {
		l.audits[a.ValueExpression] = true
	}
	return l
}

func validateValidatingPolicy(p *admissionv1.ValidatingAdmissionPolicy, l policyLeniency) field.ErrorList {
	spec := &p.Spec
	errs := when(spec.FailurePolicy == nil, requiredAt(atSpec.Child("failurePolicy"), ""))
	errs = join(errs,
		given(spec.FailurePolicy, atSpec.Child("failurePolicy"), failurePolicy),
		given(spec.ParamKind, atSpec.Child("paramKind"), validateParamKind),
		validatePolicyMatch(spec.MatchConstraints, atSpec.Child("matchConstraints")),
	)
	if !l.conditions {
		errs = append(errs, validateMatchConditions(spec.MatchConditions, spec.ParamKind != nil, l.matching, atSpec.Child("matchConditions"))...)
	}
	compiler := expression.New(len(spec.Variables) > 0)
	sees := expression.Sees{Params: spec.ParamKind != nil, Authorizer: true}
	errs = append(errs, validateVariables(compiler, spec.Variables, sees, l.validations, atSpec.Child("variables"))...)
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		const detail = "validations or auditAnnotations must contain at least one item"
		return append(errs, requiredAt(atSpec.Child("validations"), detail), requiredAt(atSpec.Child("auditAnnotations"), detail))
	}
	check := admissionCheck{name: p.Name, compiler: compiler, sees: sees, leniency: l}
	errs = append(errs, each(spec.Validations, atSpec.Child("validations"), check.validation)...)
	return append(errs, check.auditAnnotations(spec.AuditAnnotations, atSpec.Child("auditAnnotations"))...)
}

// admissionCheck holds what the expressions of one policy are checked with.
type admissionCheck struct {
	name     string
	compiler *expression.Compiler
	sees     expression.Sees
	leniency policyLeniency
}

func (c *admissionCheck) validation(v *admissionv1.Validation, at *place) field.ErrorList {
	errs := when(strings.TrimSpace(v.Expression) == "", requiredAt(at.Child("expression"), "expression is not specified"))
	if len(errs) == 0 {
		errs = compiles(c.compiler, v.Expression, c.sees, expression.Bool, c.leniency.validations, at.Child("expression"))
	}
	if strings.TrimSpace(v.MessageExpression) != "" {
		sees := expression.Sees{Params: c.sees.Params}
		errs = append(errs, compiles(c.compiler, v.MessageExpression, sees, expression.Text, c.leniency.messages, at.Child("messageExpression"))...)
	} else if v.MessageExpression != "" {
		errs = append(errs, invalidAt(at.Child("messageExpression"), v.MessageExpression, "must be non-empty if specified"))
	}
	switch text := strings.TrimSpace(v.Message); {
	case v.Message != "" && text == "":
		errs = append(errs, invalidAt(at.Child("message"), v.Message, "must be non-empty if specified"))
	case strings.ContainsAny(text, "\n\r"):
		errs = append(errs, invalidAt(at.Child("message"), v.Message, "must not contain line breaks"))
	}
	return append(errs, given(v.Reason, at.Child("reason"), func(r *metav1.StatusReason, at *place) field.ErrorList {
		return oneOf(*r, at, metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge)
	})...)
}

func (c *admissionCheck) auditAnnotations(annotations []admissionv1.AuditAnnotation, at *place) field.ErrorList {
	errs := when(len(annotations) > maxAuditAnnotations,
		invalidAt(at, bare(annotations), fmt.Sprintf("must not have more than %d auditAnnotations", maxAuditAnnotations)))
	keys := taken{}
	return append(errs, each(annotations, at, func(a *admissionv1.AuditAnnotation, at *place) field.ErrorList {
		return append(c.auditAnnotation(a, at), when(!keys.claim(a.Key), duplicateAt(at.Child("key"), a.Key))...)
	})...)
}

func (c *admissionCheck) auditAnnotation(a *admissionv1.AuditAnnotation, at *place) field.ErrorList {
	errs := qualifiedName(c.name+"/"+a.Key, at.Child("key"))
	if c.name == "" {
		errs = field.ErrorList{invalidAt(at.Child("key"), a.Key, "requires metadata.name be non-empty")}
	}
	value := at.Child("valueExpression")
	switch text := strings.TrimSpace(a.ValueExpression); {
	case text == "":
		return append(errs, requiredAt(value, "valueExpression is not specified"))
	case len(text) > maxAuditExpression:
		return append(errs, requiredAt(value, fmt.Sprintf("must not exceed %d bytes in length", maxAuditExpression)))
	default:
		out := c.compiler.Compile(expression.Expression{
			Text: text, Sees: c.sees, Returns: expression.MayText, Stored: c.leniency.audits[a.ValueExpression]})
		return append(errs, uncompiled(out, a.ValueExpression, value)...)
	}
}

func validateValidatingPolicyStatus(next, _ *admissionv1.ValidatingAdmissionPolicy) field.ErrorList {
	var errs field.ErrorList
	if next.Status.TypeChecking != nil {
		errs = each(next.Status.TypeChecking.ExpressionWarnings, atStatus.Child("typeChecking", "expressionWarnings"), validateExpressionWarning)
	}
	return append(errs, metavalidation.ValidateConditions(next.Status.Conditions, atStatus.Child("conditions").path())...)
}

func validateExpressionWarning(w *admissionv1.ExpressionWarning, at *place) field.ErrorList {
	errs := present(w.Warning, at.Child("warning"))
	ref := strings.TrimSpace(w.FieldRef)
	if ref == "" {
		return append(errs, requiredAt(at.Child("fieldRef"), ""))
	}
	if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
		errs = append(errs, invalidAt(at.Child("fieldRef"), ref, "invalid JSONPath: "+err.Error()))
	}
	return errs
}
