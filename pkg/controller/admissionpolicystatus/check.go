package admissionpolicystatus

import (
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apicel "k8s.io/apiserver/pkg/cel"

	"bonsai/pkg/resource/expression"
)

// kind is one that a policy is about, and what its objects look like.
type kind struct {
	gvk  schema.GroupVersionKind
	decl *apicel.DeclType
}

// check returns what is wrong with the expressions of p. params is nil if nothing is known of them.
func check(p *admissionv1.ValidatingAdmissionPolicy, kinds []kind, params *apicel.DeclType) []admissionv1.ExpressionWarning {
	var warnings []admissionv1.ExpressionWarning
	add := func(at *field.Path, text string) {
		if w := warningsFor(p, text, kinds, params); w != "" {
			warnings = append(warnings, admissionv1.ExpressionWarning{FieldRef: at.String(), Warning: w})
		}
	}
	for i, v := range p.Spec.Validations {
		at := field.NewPath("spec", "validations").Index(i)
		add(at.Child("expression"), v.Expression)
		if v.MessageExpression != "" {
			add(at.Child("messageExpression"), v.MessageExpression)
		}
	}
	return warnings
}

func warningsFor(p *admissionv1.ValidatingAdmissionPolicy, text string, kinds []kind, params *apicel.DeclType) string {
	sees := expression.Sees{Params: p.Spec.ParamKind != nil, Authorizer: true}
	var lines []string
	for _, k := range kinds {
		c := expression.Typed(k.decl, params)
		for _, v := range p.Spec.Variables {
			c.DeclareChecked(v.Name, expression.Expression{Text: v.Expression, Sees: sees, Stored: true})
		}
		switch err := c.Check(expression.Expression{Text: text, Sees: sees, Stored: true}); {
		case err == nil:
		case err.Type == apicel.ErrorTypeInvalid:
			lines = append(lines, fmt.Sprintf("%v: %s\n", k.gvk, err))
		default:
			lines = append(lines, fmt.Sprintf("%v: type checking error: %v\n", k.gvk, err))
		}
	}
	return strings.Join(lines, "\n")
}
