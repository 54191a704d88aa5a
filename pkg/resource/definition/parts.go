package definition

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	columnTypes   = []string{"boolean", "date", "integer", "number", "string"}
	columnFormats = []string{"byte", "date", "date-time", "double", "float", "int32", "int64", "password"}
)

// column checks one of additionalPrinterColumns.
func (v *validator) column(c *apiextensions.CustomResourceColumnDefinition, at *field.Path) {
	if c.Name == "" {
		v.add(field.Required(at.Child("name"), ""))
	}
	switch among := "must be one of " + strings.Join(columnTypes, ","); {
	case c.Type == "":
		v.add(field.Required(at.Child("type"), among))
	case !slices.Contains(columnTypes, c.Type):
		v.add(field.Invalid(at.Child("type"), c.Type, among))
	}
	if c.Format != "" && !slices.Contains(columnFormats, c.Format) {
		v.add(field.Invalid(at.Child("format"), c.Format, "must be one of "+strings.Join(columnFormats, ",")))
	}
	if c.JSONPath == "" {
		v.add(field.Required(at.Child("JSONPath"), ""))
		return
	}
	v.path(c.JSONPath, at.Child("JSONPath"))
}

// path wants a path of names with dots before them, and reports whether it is one.
func (v *validator) path(p string, at *field.Path) bool {
	if strings.HasPrefix(p, ".") {
		return true
	}
	v.add(field.Invalid(at, p, "must be a simple json path starting with ."))
	return false
}

// subresources checks where an object keeps its scale.
func (v *validator) subresources(s *apiextensions.CustomResourceSubresources, at *field.Path) {
	if s == nil || s.Scale == nil {
		return
	}
	v.scalePath(s.Scale.SpecReplicasPath, at.Child("scale.specReplicasPath"), "should be a json path under .spec", ".spec.")
	v.scalePath(s.Scale.StatusReplicasPath, at.Child("scale.statusReplicasPath"), "should be a json path under .status", ".status.")
	if p := s.Scale.LabelSelectorPath; p != nil && *p != "" {
		v.scalePath(*p, at.Child("scale.labelSelectorPath"), "should be a json path under either .spec or .status", ".spec.", ".status.")
	}
}

func (v *validator) scalePath(p string, at *field.Path, words string, under ...string) {
	if p == "" {
		v.add(field.Required(at, ""))
		return
	}
	if v.path(p, at) && !slices.ContainsFunc(under, func(u string) bool { return strings.HasPrefix(p, u) }) {
		v.add(field.Invalid(at, p, words))
	}
}

// maxSelectable bounds what has to be read of an object to see whether a selector wants it.
const maxSelectable = 8

// selectable checks selectableFields, which lead to plain values of the schema.
func (v *validator) selectable(fields []apiextensions.SelectableField, props *props, version string, at *field.Path) {
	s, err := schema.NewStructural(props)
	if err != nil {
		v.add(field.Invalid(at.Child("schema.openAPIV3Schema"), "", err.Error()))
		s = &schema.Structural{}
	}
	at = at.Child("selectableFields")
	seen := map[string]bool{}
	for i, f := range fields {
		place := at.Index(i).Child("jsonPath")
		if f.JSONPath == "" {
			v.add(field.Required(place, ""))
			continue
		}
		path, found, err := cel.ValidFieldPath(f.JSONPath, s, cel.WithFieldPathAllowArrayNotation(false))
		if err != nil {
			v.add(field.Invalid(place, f.JSONPath, fmt.Sprintf("is an invalid path: %v", err)))
			continue
		}
		if path.Root().String() == "metadata" {
			v.add(field.Invalid(place, f.JSONPath, "must not point to fields in metadata"))
		}
		if found == nil || !slices.Contains([]string{"string", "boolean", "integer"}, found.Type) {
			v.add(field.Invalid(place, f.JSONPath, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."))
		}
		if seen[path.String()] {
			v.add(field.Duplicate(place, f.JSONPath))
		}
		seen[path.String()] = true
	}
	if len(seen) > maxSelectable && !v.manySelectable[version] {
		v.add(field.TooMany(at, len(seen), maxSelectable))
	}
}
