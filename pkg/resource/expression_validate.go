package resource

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"bonsai/pkg/resource/expression"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apicel "k8s.io/apiserver/pkg/cel"
)

// maxMatchConditions bounds what is evaluated before it is known whether anything has to be done at all.
const maxMatchConditions = 64

func validateMatchConditions(conditions []admissionv1.MatchCondition, params bool, stored map[string]bool, at *place) field.ErrorList {
	errs := when(len(conditions) > maxMatchConditions, tooManyAt(at, len(conditions), maxMatchConditions))
	names := taken{}
	for i, c := range conditions {
		at := at.Index(i)
		text := strings.TrimSpace(c.Expression)
		if text == "" {
			errs = append(errs, requiredAt(at.Child("expression"), ""))
		} else {
			sees := expression.Sees{Params: params, Authorizer: true}
			errs = append(errs, compiles(expression.New(false), text, sees, expression.Bool, stored, at.Child("expression"))...)
		}
		switch {
		case c.Name == "":
			errs = append(errs, requiredAt(at.Child("name"), ""))
		default:
			errs = append(errs, qualifiedName(c.Name, at.Child("name"))...)
			errs = append(errs, when(!names.claim(c.Name), duplicateAt(at.Child("name"), c.Name))...)
		}
	}
	return errs
}

// compiles refuses a text that is no expression of that type.
func compiles(c *expression.Compiler, text string, sees expression.Sees, returns []*cel.Type, stored map[string]bool, at *place) field.ErrorList {
	out := c.Compile(expression.Expression{Text: text, Sees: sees, Returns: returns, Stored: stored[text]})
	return uncompiled(out, text, at)
}

// uncompiled says why an expression did not compile; shown is its text as the client wrote it.
func uncompiled(c expression.Compiled, shown string, at *place) field.ErrorList {
	switch {
	case c.Error == nil:
		return nil
	case errors.Is(c.Error, apicel.ErrInvalid) && c.Error.Type == apicel.ErrorTypeInvalid:
		return field.ErrorList{invalidAt(at, shown, c.Error.Detail)}
	}
	return field.ErrorList{internalErrorAt(at, c.Error)}
}

func validateVariables(c *expression.Compiler, variables []admissionv1.Variable, sees expression.Sees, stored map[string]bool, at *place) field.ErrorList {
	return each(variables, at, func(v *admissionv1.Variable, at *place) field.ErrorList {
		var errs field.ErrorList
		switch {
		case strings.TrimSpace(v.Name) == "":
			errs = append(errs, requiredAt(at.Child("name"), "name is not specified"))
		case !isCELIdentifier(v.Name):
			errs = append(errs, invalidAt(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		if strings.TrimSpace(v.Expression) == "" {
			return append(errs, requiredAt(at.Child("expression"), "expression is not specified"))
		}
		out := c.Declare(v.Name, expression.Expression{
			Text: v.Expression, Sees: sees, Returns: expression.Anything, Stored: stored[v.Expression]})
		return append(errs, uncompiled(out, v.Expression, at.Child("expression"))...)
	})
}

var celIdentifier = regexp.MustCompile("^[_a-zA-Z][_a-zA-Z0-9]*$")

var celReserved = []string{"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
	"import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}

func isCELIdentifier(name string) bool {
	return celIdentifier.MatchString(name) && !slices.Contains(celReserved, name)
}
