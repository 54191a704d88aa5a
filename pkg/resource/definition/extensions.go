package definition

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// extensions checks the x-kubernetes-… of one node.
func (w *walker) extensions(p *props, at *field.Path) (errs field.ErrorList) {
	if keep := p.XPreserveUnknownFields; keep != nil && !*keep {
		errs = append(errs, field.Invalid(at.Child("x-kubernetes-preserve-unknown-fields"), *keep, "must be true or undefined"))
	}
	if p.XMapType != nil {
		errs = append(errs, needsType(p, "object", "must be object if x-kubernetes-map-type is specified", at.Child("type"))...)
		errs = append(errs, known(*p.XMapType, []string{"atomic", "granular"}, at.Child("x-kubernetes-map-type"))...)
	}
	if p.XListType != nil {
		wrong := needsType(p, "array", "must be array if x-kubernetes-list-type is specified", at.Child("type"))
		if len(wrong) == 0 && !w.mayHaveNonAtomicSets {
			wrong = setItems(p, at.Child("items"))
		}
		errs = append(errs, wrong...)
		errs = append(errs, known(*p.XListType, []string{"atomic", "set", "map"}, at.Child("x-kubernetes-list-type"))...)
	}
	errs = append(errs, listMap(p, at)...)
	if !w.mayHaveLooseMapKeys {
		errs = append(errs, mapKeyErrors(p, at)...)
	}
	return errs
}

func needsType(p *props, kind, words string, at *field.Path) field.ErrorList {
	switch p.Type {
	case kind:
		return nil
	case "":
		return field.ErrorList{field.Required(at, words)}
	}
	return field.ErrorList{field.Invalid(at, p.Type, words)}
}

func known(value string, values []string, at *field.Path) field.ErrorList {
	if slices.Contains(values, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, values)}
}

func isList(p *props, kind string) bool {
	return p.XListType != nil && *p.XListType == kind && p.Items != nil && p.Items.Schema != nil
}

func nonAtomicSet(p *props) bool { return len(setItems(p, nil)) > 0 }

// setItems wants the items of a set to be replaced as wholes: they are known by their value alone.
func setItems(p *props, at *field.Path) field.ErrorList {
	const words = "must be atomic as item of a list with x-kubernetes-list-type=set"
	if !isList(p, "set") {
		return nil
	}
	switch item := p.Items.Schema; {
	case item.Type == "array" && item.XListType != nil && *item.XListType != "atomic":
		return field.ErrorList{field.Invalid(at.Child("x-kubernetes-list-type"), item.XListType, words)}
	case item.Type == "object" && (item.XMapType == nil || *item.XMapType != "atomic"):
		return field.ErrorList{field.Invalid(at.Child("x-kubernetes-map-type"), item.XListType, words)}
	}
	return nil
}

// listMap checks a list that is a map: its items are objects, and its keys plain fields of them.
func listMap(p *props, at *field.Path) (errs field.ErrorList) {
	isMap := p.XListType != nil && *p.XListType == "map"
	if len(p.XListMapKeys) > 0 && !isMap {
		const words = "must be map if x-kubernetes-list-map-keys is non-empty"
		if p.XListType == nil {
			return field.ErrorList{field.Required(at.Child("x-kubernetes-list-type"), words)}
		}
		return field.ErrorList{field.Invalid(at.Child("x-kubernetes-list-type"), *p.XListType, words)}
	}
	if !isMap {
		return nil
	}
	if len(p.XListMapKeys) == 0 {
		errs = append(errs, field.Required(at.Child("x-kubernetes-list-map-keys"), "must not be empty if x-kubernetes-list-type is map"))
	}
	switch {
	case p.Items == nil:
		return append(errs, field.Required(at.Child("items"), "must have a schema if x-kubernetes-list-type is map"))
	case p.Items.Schema == nil:
		return append(errs, field.Invalid(at.Child("items"), p.Items, "must only have a single schema if x-kubernetes-list-type is map"))
	case p.Items.Schema.Type != "object":
		return append(errs, field.Invalid(at.Child("items").Child("type"), p.Items.Schema.Type, "must be object if parent array's x-kubernetes-list-type is map"))
	}
	return append(errs, mapKeys(p, at)...)
}

func mapKeys(p *props, at *field.Path) (errs field.ErrorList) {
	seen := map[string]bool{}
	for _, k := range p.XListMapKeys {
		key, ok := p.Items.Schema.Properties[k]
		if !ok {
			errs = append(errs, field.Invalid(at.Child("x-kubernetes-list-map-keys"), p.XListMapKeys, "entries must all be names of item properties"))
		} else if key.Type == "array" || key.Type == "object" {
			errs = append(errs, field.Invalid(at.Child("items").Child("properties").Key(k).Child("type"), p.Items.Schema.Type,
				"must be a scalar type if parent array's x-kubernetes-list-type is map"))
		}
		if seen[k] {
			errs = append(errs, field.Invalid(at.Child("x-kubernetes-list-map-keys"), p.XListMapKeys, "must not contain duplicate entries"))
		}
		seen[k] = true
	}
	return errs
}

// mapKeyErrors wants every item of a set or map to be there, with all of its keys.
func mapKeyErrors(p *props, at *field.Path) (errs field.ErrorList) {
	if !isList(p, "set") && !isList(p, "map") {
		return nil
	}
	item, place := p.Items.Schema, at.Child("items")
	if item.Nullable {
		errs = append(errs, field.Forbidden(place.Child("nullable"), "cannot be nullable when x-kubernetes-list-type is "+*p.XListType))
	}
	if *p.XListType == "set" {
		return errs
	}
	for _, k := range p.XListMapKeys {
		key, ok := item.Properties[k]
		if !ok {
			continue // listMap says so
		}
		place := place.Child("properties").Key(k)
		if !slices.Contains(item.Required, k) && key.Default == nil {
			errs = append(errs, field.Required(place.Child("default"), "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"))
		}
		if key.Nullable {
			errs = append(errs, field.Forbidden(place.Child("nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
		}
	}
	return errs
}

var lineBreaks = regexp.MustCompile(`[\n\r]+`)

var reasons = []string{string(apiextensions.FieldValueDuplicate), string(apiextensions.FieldValueForbidden), string(apiextensions.FieldValueInvalid),
	string(apiextensions.FieldValueRequired)}

// ruleTexts checks the texts of a node's rules, before any is compiled.
func ruleTexts(p *props, at *field.Path) (errs field.ErrorList) {
	for i := range p.XValidations {
		errs = append(errs, ruleText(p, &p.XValidations[i], at.Child("x-kubernetes-validations").Index(i))...)
	}
	return errs
}

func ruleText(p *props, r *apiextensions.ValidationRule, at *field.Path) (errs field.ErrorList) {
	rule, message := strings.TrimSpace(r.Rule), strings.TrimSpace(r.Message)
	switch {
	case rule == "":
		errs = append(errs, field.Required(at.Child("rule"), "rule is not specified"))
	case r.Message != "" && message == "":
		errs = append(errs, field.Invalid(at.Child("message"), r.Message, "must be non-empty if specified"))
	case lineBreaks.MatchString(message):
		errs = append(errs, field.Invalid(at.Child("message"), r.Message, "must not contain line breaks"))
	case lineBreaks.MatchString(rule) && message == "":
		errs = append(errs, field.Required(at.Child("message"), "message must be specified if rule contains line breaks"))
	}
	if r.MessageExpression != "" && strings.TrimSpace(r.MessageExpression) == "" {
		errs = append(errs, field.Required(at.Child("messageExpression"), "messageExpression must be non-empty if specified"))
	}
	if r.Reason != nil && !slices.Contains(reasons, string(*r.Reason)) {
		errs = append(errs, field.NotSupported(at.Child("reason"), *r.Reason, reasons))
	}
	if r.FieldPath == "" {
		return errs
	}
	place := at.Child("fieldPath")
	if strings.TrimSpace(r.FieldPath) == "" {
		errs = append(errs, field.Invalid(place, r.FieldPath, "must be non-empty if specified"))
	}
	if lineBreaks.MatchString(r.FieldPath) {
		errs = append(errs, field.Invalid(place, r.FieldPath, "must not contain line breaks"))
	}
	if s, err := schema.NewStructural(p); err == nil {
		if _, _, err := cel.ValidFieldPath(r.FieldPath, s); err != nil {
			errs = append(errs, field.Invalid(place, r.FieldPath, "must be a valid path"))
		}
	}
	return errs
}
