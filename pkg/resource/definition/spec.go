package definition

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type (
	crdSpec    = apiextensions.CustomResourceDefinitionSpec
	crdVersion = apiextensions.CustomResourceDefinitionVersion
)

// spec checks all of spec.
func (v *validator) spec(s *crdSpec, at *field.Path) {
	v.group(s.Group, at.Child("group"))
	v.oneOf(string(s.Scope), []string{string(apiextensions.ClusterScoped), string(apiextensions.NamespaceScoped)}, at.Child("scope"))
	prunes := !isTrue(s.PreserveUnknownFields)
	v.mustBeStructural = v.mustBeStructural || prunes || anySchema(s, hasExtensions)
	v.schemasPresent(s, prunes, at)
	if anySchema(s, hasDefault) {
		v.mustBeStructural = true
		if s.PreserveUnknownFields == nil || *s.PreserveUnknownFields {
			v.add(field.Invalid(at.Child("preserveUnknownFields"), true, "must be false in order to use defaults in the schema"))
		}
	}
	v.versions(s, at)
	v.names(&s.Names, at.Child("names"))
	v.shared(s, at)
	if c := s.Conversion; c != nil && c.Strategy != apiextensions.NoneConverter && (s.PreserveUnknownFields == nil || *s.PreserveUnknownFields) {
		v.add(field.Invalid(at.Child("conversion").Child("strategy"), c.Strategy, "must be None if spec.preserveUnknownFields is true"))
	}
	v.conversion(s.Conversion, at.Child("conversion"))
}

func (v *validator) group(group string, at *field.Path) {
	switch bad := utilvalidation.IsDNS1123Subdomain(group); {
	case group == "":
		v.add(field.Required(at, ""))
	case len(bad) > 0:
		v.add(field.Invalid(at, group, strings.Join(bad, ",")))
	case !strings.Contains(group, "."):
		v.add(field.Invalid(at, group, "should be a domain with at least one dot"))
	}
}

func (v *validator) oneOf(value string, known []string, at *field.Path) {
	if value == "" {
		v.add(field.Required(at, ""))
		return
	}
	for _, k := range known {
		if k == value {
			return
		}
	}
	v.add(field.NotSupported(at, value, known))
}

// schemasPresent wants a schema for each version: without one, everything would be cut off.
func (v *validator) schemasPresent(s *crdSpec, prunes bool, at *field.Path) {
	if s.Validation != nil && s.Validation.OpenAPIV3Schema != nil {
		return
	}
	for i := range s.Versions {
		version := &s.Versions[i]
		if version.Schema != nil && version.Schema.OpenAPIV3Schema != nil {
			continue
		}
		place := at.Child("versions").Index(i).Child("schema", "openAPIV3Schema")
		switch {
		case !v.mayLackSchema:
			v.add(field.Required(place, ""))
		case prunes && version.Served:
			v.add(field.Required(place, "because otherwise all fields are pruned"))
		}
	}
}

// versions checks them one by one and together.
func (v *validator) versions(s *crdSpec, at *field.Path) {
	list := at.Child("versions")
	stored, unique, seen := 0, true, map[string]bool{}
	for i := range s.Versions {
		version := &s.Versions[i]
		if version.Storage {
			stored++
		}
		unique = unique && !seen[version.Name]
		seen[version.Name] = true
		v.label(version.Name, "", list.Index(i).Child("name"))
		v.version(version, hasStatus(s.Subresources) || hasStatus(version.Subresources), list.Index(i))
	}
	if !unique {
		v.add(field.Invalid(list, s.Versions, "must contain unique version names"))
	}
	if stored != 1 {
		v.add(field.Invalid(list, s.Versions, "must have exactly one version marked as storage version"))
	}
	if s.Version != "" { // the conversion has put the first one's name there
		v.label(s.Version, "", at.Child("version"))
	}
}

// label wants a DNS label that begins with a letter. With a remark, which the error begins with, the case of letters does not matter.
func (v *validator) label(value, remark string, at *field.Path) {
	text := value
	if remark != "" {
		text = strings.ToLower(value)
	}
	if bad := utilvalidation.IsDNS1035Label(text); len(bad) > 0 {
		v.add(field.Invalid(at, value, remark+strings.Join(bad, ",")))
	}
}

// version checks what is of one version alone.
func (v *validator) version(version *crdVersion, status bool, at *field.Path) {
	v.deprecation(version, at.Child("deprecationWarning"))
	v.validation(version.Schema, status, version.Name, at.Child("schema"))
	v.subresources(version.Subresources, at.Child("subresources"))
	for i := range version.AdditionalPrinterColumns {
		v.column(&version.AdditionalPrinterColumns[i], at.Child("additionalPrinterColumns").Index(i))
	}
	if len(version.SelectableFields) == 0 {
		return
	}
	if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
		v.add(field.Invalid(at.Child("selectableFields"), "", "may only be set when `version.schema.openAPIV3Schema` is not included"))
		return
	}
	v.selectable(version.SelectableFields, version.Schema.OpenAPIV3Schema, version.Name, at)
}

func (v *validator) deprecation(version *crdVersion, at *field.Path) {
	text := version.DeprecationWarning
	for _, bad := range deprecationProblems(version.Deprecated, text) {
		v.add(field.Invalid(at, text, bad))
	}
}

func deprecationProblems(deprecated bool, text *string) (bad []string) {
	switch {
	case text == nil:
		return nil
	case !deprecated:
		return []string{"can only be set for deprecated versions"}
	}
	if len(*text) > 256 {
		bad = append(bad, "must be <= 256 characters long")
	}
	if *text == "" {
		bad = append(bad, "must not be an empty string")
	}
	for i, r := range *text {
		if !unicode.IsPrint(r) {
			bad = append(bad, fmt.Sprintf("must only contain printable UTF-8 characters; non-printable character found at index %d", i))
			break
		}
	}
	if !utf8.ValidString(*text) {
		bad = append(bad, "must only contain printable UTF-8 characters")
	}
	return bad
}

// shared checks what stands at the top because all versions have it in common.
func (v *validator) shared(s *crdSpec, at *field.Path) {
	status := hasStatus(s.Subresources)
	for i := range s.Versions {
		status = status || hasStatus(s.Versions[i].Subresources)
	}
	v.validation(s.Validation, status, s.Version, at.Child("validation"))
	v.subresources(s.Subresources, at.Child("subresources"))
	for i := range s.AdditionalPrinterColumns {
		v.column(&s.AdditionalPrinterColumns[i], at.Child("additionalPrinterColumns").Index(i))
	}
	switch {
	case len(s.SelectableFields) == 0:
	case s.Validation == nil:
		v.add(field.Invalid(at.Child("selectableFields"), "", "may only be set when validations.schema is included"))
	default:
		v.selectable(s.SelectableFields, s.Validation.OpenAPIV3Schema, "", at)
	}
}

func hasStatus(s *apiextensions.CustomResourceSubresources) bool { return s != nil && s.Status != nil }

// names wants those that cannot be guessed, and then that all are names.
func (v *validator) names(n *apiextensions.CustomResourceDefinitionNames, at *field.Path) {
	for _, f := range []struct{ name, value string }{
		{"plural", n.Plural}, {"singular", n.Singular}, {"kind", n.Kind}, {"listKind", n.ListKind},
	} {
		if f.value == "" {
			v.add(field.Required(at.Child(f.name), ""))
		}
	}
	v.add(validateNames(n, at)...)
}

const mixedCase = "may have mixed case, but should otherwise match: "

func validateNames(n *apiextensions.CustomResourceDefinitionNames, at *field.Path) field.ErrorList {
	v := &validator{}
	for _, f := range []struct{ name, value, remark string }{
		{"plural", n.Plural, ""}, {"singular", n.Singular, ""}, {"kind", n.Kind, mixedCase}, {"listKind", n.ListKind, mixedCase},
	} {
		if f.value != "" {
			v.label(f.value, f.remark, at.Child(f.name))
		}
	}
	for i, s := range n.ShortNames {
		v.label(s, "", at.Child("shortNames").Index(i))
	}
	if n.Kind != "" && n.Kind == n.ListKind {
		v.add(field.Invalid(at.Child("listKind"), n.ListKind, "kind and listKind may not be the same"))
	}
	for i, c := range n.Categories {
		v.label(c, "", at.Child("categories").Index(i))
	}
	return v.errs
}

// validation checks a schema: first what one can say of all of it, then each of its nodes.
func (v *validator) validation(c *apiextensions.CustomResourceValidation, status bool, version string, at *field.Path) {
	if c == nil || c.OpenAPIV3Schema == nil {
		return
	}
	before := len(v.errs)
	at = at.Child("openAPIV3Schema")
	v.root(c.OpenAPIV3Schema, status, at)
	w := &walker{validator: v, cheap: v.unchanged[version]}
	var unreadable *field.Error
	if v.mustBeStructural {
		w.costs, unreadable = v.structural(c.OpenAPIV3Schema, at)
	}
	found := w.node(c.OpenAPIV3Schema, at, node{root: true, mayDefault: true, rules: w.costs.rootScope(c.OpenAPIV3Schema)})
	v.add(append(found.schema, found.rules...)...)
	if unreadable != nil && len(v.errs) == before {
		v.add(unreadable) // it mostly says what the walk has said, in fewer words
	}
	v.add(w.costs.verdict(at)...)
	if len(v.errs) == before {
		v.buildable(c.OpenAPIV3Schema, at)
	}
}

// structural checks that the schema can be pruned and defaulted by. Rules are only looked at in schemas that can.
func (v *validator) structural(props *apiextensions.JSONSchemaProps, at *field.Path) (*costs, *field.Error) {
	s, err := schema.NewStructural(props)
	if err != nil {
		return nil, field.Invalid(at, "", err.Error())
	}
	if errs := schema.ValidateStructural(at, s); len(errs) > 0 {
		v.add(errs...)
		return nil, nil
	}
	errs, err := validateDefaults(v.ctx, at, s, !v.mayHaveUnprunedDefaults)
	if err != nil {
		errs = field.ErrorList{field.Invalid(at, "", err.Error())}
	}
	if len(errs) > 0 {
		v.add(errs...)
		return nil, nil
	}
	return &costs{}, nil
}
