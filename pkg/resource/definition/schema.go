package definition

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// allowedAtRoot are what the root of a schema may have beside a status subresource: the status is validated by its own part of the
// schema alone, and must not lose anything by that. They are Go's names, and clients see them.
var allowedAtRoot = []string{"Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength",
	"MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
	"XPreserveUnknownFields", "XValidations"}

// root checks what holds for the whole schema only.
func (v *validator) root(p *props, status bool, at *field.Path) {
	if status {
		v.rootWithStatus(p, at)
	}
	if p.Nullable {
		v.add(field.Forbidden(field.NewPath(at.String()+".nullable"), "nullable cannot be true at the root"))
	}
}

func (v *validator) rootWithStatus(p *props, at *field.Path) {
	value := reflect.ValueOf(p).Elem()
	for i := range value.NumField() {
		name := value.Type().Field(i).Name
		switch {
		case value.Field(i).IsZero():
		case name == "Type" && p.Type != "object":
			v.add(field.Invalid(field.NewPath(at.String()+".type"), p.Type,
				`only "object" is allowed as the type at the root of the schema if the status subresource is enabled`))
			return
		case !slices.Contains(allowedAtRoot, name):
			v.add(field.Invalid(at, *p, fmt.Sprintf(
				"only %v fields are allowed at the root of the schema if the status subresource is enabled", allowedAtRoot)))
			return
		}
	}
}

// buildable makes sure that objects can be checked by a schema that has passed all else.
func (v *validator) buildable(p *props, at *field.Path) {
	if _, _, err := validation.NewSchemaValidator(p); err != nil {
		parent := field.NewPath(trimLast(at.String()))
		v.add(field.Invalid(parent, "", fmt.Sprintf("error building validator: %v", err)))
	}
}

func trimLast(path string) string { return path[:len(path)-len(".openAPIV3Schema")] }

func validateDefaults(ctx context.Context, at *field.Path, s *schema.Structural, pruned bool) (field.ErrorList, error) {
	return defaulting.ValidateDefaults(ctx, at, s, true, pruned)
}

// walker visits the nodes of one schema.
type walker struct {
	*validator
	costs *costs // nil if rules are not looked at
	cheap bool   // what single rules cost was accepted before
}

// node is what follows from the place of a node in its schema.
type node struct {
	root, insideMeta bool
	mayDefault       bool
	whyNot           string // no defaults
	// uncorrelated is the first node above whose values have no counterpart in the object as it was before.
	uncorrelated *field.Path
	rules        *scope // nil where rules are not looked at
}

func (n node) forbidDefaults(why string) node { n.mayDefault, n.whyNot = false, why; return n }

func (n node) forbidOld(at *field.Path) node {
	if n.uncorrelated == nil {
		n.uncorrelated = at
	}
	return n
}

// below is n for a child that is looked at by scope s.
func (n node) below(s *scope) node { n.root, n.rules = false, s; return n }

// found is what is wrong at a node and below. Rules are only compiled where the schema is right, so the two are kept apart.
type found struct{ schema, rules field.ErrorList }

func (f *found) add(errs ...*field.Error) { f.schema = append(f.schema, errs...) }

func (f *found) join(g found) {
	f.schema, f.rules = append(f.schema, g.schema...), append(f.rules, g.rules...)
}

// node checks p and everything below it.
func (w *walker) node(p *props, at *field.Path, n node) found {
	var f found
	if p == nil {
		return f
	}
	f.add(w.standard(p, at, n)...)
	f.join(w.fields(p, at, n))
	f.join(w.combined(p, at, n))
	f.join(w.items(p, at, n))
	f.add(w.extensions(p, at)...)
	f.add(ruleTexts(p, at)...)
	if len(p.XValidations) > 0 && len(f.schema) == 0 && n.rules != nil {
		f.rules = append(f.rules, w.compile(p, at, n)...)
	}
	return f
}

// openAPITypes are all types there are.
var openAPITypes = []string{"array", "boolean", "integer", "number", "object", "string"}

func unknownType(p *props) bool { return p.Type != "" && !slices.Contains(openAPITypes, p.Type) }

// standard refuses what JSON schema has and this form of it has not.
func (w *walker) standard(p *props, at *field.Path, n node) (errs field.ErrorList) {
	if unknownType(p) && !w.mayHaveUnknownTypes {
		errs = append(errs, field.NotSupported(at.Child("type"), p.Type, openAPITypes))
	}
	if p.Default != nil && !n.mayDefault {
		errs = append(errs, field.Forbidden(at.Child("default"), "must not be set "+n.whyNot))
	}
	for _, c := range []struct {
		is          bool
		name, words string
	}{
		{p.ID != "", "id", "id is not supported"},
		{p.AdditionalItems != nil, "additionalItems", "additionalItems is not supported"},
		{len(p.PatternProperties) != 0, "patternProperties", "patternProperties is not supported"},
		{len(p.Definitions) != 0, "definitions", "definitions is not supported"},
		{p.Dependencies != nil, "dependencies", "dependencies is not supported"},
		{p.Ref != nil, "$ref", "$ref is not supported"},
		{p.Type == "null", "type", "type cannot be set to null, use nullable as an alternative"},
		{p.Items != nil && len(p.Items.JSONSchemas) != 0, "items", "items must be a schema object and not an array"},
		{n.insideMeta && p.XEmbeddedResource, "x-kubernetes-embedded-resource", "must not be used inside of resource meta"},
		{p.UniqueItems, "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"},
	} {
		if c.is {
			errs = append(errs, field.Forbidden(at.Child(c.name), c.words))
		}
	}
	return errs
}

// metaNames are the properties of every object.
var metaNames = []string{"metadata", "kind", "apiVersion"}

// fields checks the properties: a node either names them or says what all have in common.
func (w *walker) fields(p *props, at *field.Path, n node) (f found) {
	if more := p.AdditionalProperties; more != nil {
		if len(p.Properties) != 0 && (!more.Allows || more.Schema != nil) {
			f.add(field.Forbidden(at.Child("additionalProperties"), "additionalProperties and properties are mutual exclusive"))
		}
		sub := n
		if n.insideMeta {
			sub = n.forbidDefaults("inside additionalProperties applying to object metadata")
		}
		f.join(w.node(more.Schema, at.Child("additionalProperties"), sub.below(n.rules.values(more.Schema))))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Properties)) {
		child, sub := p.Properties[name], n
		if !cel.MapIsCorrelatable(p.XMapType) {
			sub = sub.forbidOld(at)
		}
		if (n.root || p.XEmbeddedResource) && slices.Contains(metaNames, name) {
			sub.insideMeta = true
			if n.root {
				sub = sub.forbidDefaults("in top-level " + name)
			}
		}
		f.join(w.node(&child, at.Child("properties").Key(name), sub.below(n.rules.property(&child, name))))
	}
	return f
}

// combined checks what only restricts values. There are no rules in it: they belong to the structure.
func (w *walker) combined(p *props, at *field.Path, n node) (f found) {
	n = n.below(nil)
	f.join(w.node(p.Not, at.Child("not"), n))
	for _, l := range []struct {
		name string
		list []props
	}{{"allOf", p.AllOf}, {"oneOf", p.OneOf}, {"anyOf", p.AnyOf}} {
		for i := range l.list {
			f.join(w.node(&l.list[i], at.Child(l.name).Index(i), n))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Definitions)) {
		child := p.Definitions[name]
		f.join(w.node(&child, at.Child("definitions").Key(name), n))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Dependencies)) {
		f.join(w.node(p.Dependencies[name].Schema, at.Child("dependencies").Key(name), n))
	}
	return f
}

// items checks what is in a list. Only in a list that is a map does an item have a counterpart in the list as it was.
func (w *walker) items(p *props, at *field.Path, n node) (f found) {
	if p.Items == nil {
		return f
	}
	if p.XListType == nil || *p.XListType != "map" {
		n = n.forbidOld(at)
	}
	f.join(w.node(p.Items.Schema, at.Child("items"), n.below(n.rules.item(p.Items.Schema))))
	for i := range p.Items.JSONSchemas {
		child := &p.Items.JSONSchemas[i]
		f.join(w.node(child, at.Child("items").Index(i), n.below(n.rules.item(child))))
	}
	return f
}
