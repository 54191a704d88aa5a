package customresource

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"bonsai/api"
	"bonsai/pkg/resource"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	openapiv2 "k8s.io/apiextensions-apiserver/pkg/controller/openapi/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// What kubectl explains, validates and merges by is made of the schema of a definition and of what all kinds have: type and metadata.

// dialect is a version of OpenAPI, as far as the schemas differ.
type dialect struct {
	v2   bool
	refs string
}

var (
	dialectV2 = dialect{true, "#/definitions/"}
	dialectV3 = dialect{false, "#/components/schemas/"}
)

// modelName is what OpenAPI calls a kind: the group reversed, as Java packages are named.
func modelName(v *version, kind string) string {
	parts := strings.Split(v.gvk.Group, ".")
	slices.Reverse(parts)
	return strings.Join(parts, ".") + "." + v.gvk.Version + "." + kind
}

// models describe a version for the OpenAPI documents.
func (k *kind) models(v *version) resource.CustomModels {
	m := resource.CustomModels{Object: modelName(v, k.names.Kind), List: modelName(v, k.names.ListKind)}
	in := func(d dialect) func() (map[string]json.RawMessage, error) {
		return func() (map[string]json.RawMessage, error) {
			object, err := json.Marshal(k.object(v, d))
			if err != nil {
				return nil, fmt.Errorf("describe %s: %w", m.Object, err)
			}
			list, err := json.Marshal(k.list(v, d))
			return map[string]json.RawMessage{m.Object: object, m.List: list}, err
		}
	}
	m.V2, m.V3 = in(dialectV2), in(dialectV3)
	return m
}

// object is the schema of one object.
func (k *kind) object(v *version, d dialect) *spec.Schema {
	s := v.published()
	if s == nil || d.v2 && (s.XPreserveUnknownFields || v.keepUnknown) {
		// kubectl takes it that what is not described is forbidden, so nothing is.
		return v.marked(new(spec.Schema).Typed("object", ""), k.names.Kind)
	}
	if d.v2 {
		s = openapiv2.ToStructuralOpenAPIV2(s)
	}
	out := s.ToKubeOpenAPI()
	out.SetProperty("metadata", d.refer(objectMetaModel, partialDoc["metadata"]))
	out.SetProperty("apiVersion", text(typeDoc["apiVersion"]))
	out.SetProperty("kind", text(typeDoc["kind"]))
	d.embed(out)
	return v.marked(out, k.names.Kind)
}

// published is the schema as it is shown; nil if there is none.
func (v *version) published() *schema.Structural {
	if v.structural == nil {
		return nil
	}
	return v.structural.Unfold()
}

// list is the schema of a list of objects.
func (k *kind) list(v *version, d dialect) *spec.Schema {
	items := spec.ArrayProperty(spec.RefSchema(d.refs + modelName(v, k.names.Kind))).WithDescription(fmt.Sprintf(
		"List of %s. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", k.names.Plural))
	out := new(spec.Schema).Typed("object", "").WithRequired("items").
		WithDescription(fmt.Sprintf("%s is a list of %s", k.names.ListKind, k.names.Kind)).
		SetProperty("items", *items).
		SetProperty("metadata", d.refer(listMetaModel, partialListDoc["metadata"])).
		SetProperty("apiVersion", text(typeDoc["apiVersion"])).
		SetProperty("kind", text(typeDoc["kind"]))
	return v.marked(out, k.names.ListKind)
}

// marked names the kind that the schema is of, and what one may select by.
func (v *version) marked(s *spec.Schema, kind string) *spec.Schema {
	s.AddExtension("x-kubernetes-group-version-kind", []any{
		map[string]any{"group": v.gvk.Group, "version": v.gvk.Version, "kind": kind},
	})
	var fields []any
	for _, f := range v.fields {
		fields = append(fields, map[string]any{"fieldPath": f.name})
	}
	if fields != nil {
		s.AddExtension("x-kubernetes-selectable-fields", fields)
	}
	return s
}

// embed gives embedded resources what all objects have. The older dialect shows no defaults, of built-in kinds neither.
func (d dialect) embed(s *spec.Schema) {
	if d.v2 {
		s.Default = nil
	}
	for name, p := range s.Properties {
		d.embed(&p)
		s.Properties[name] = p
	}
	if s.Items != nil && s.Items.Schema != nil {
		d.embed(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		d.embed(s.AdditionalProperties.Schema)
	}
	if keeps, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); keeps && d.v2 {
		return // what is described would be all that kubectl lets pass
	}
	if embedded, _ := s.Extensions.GetBool("x-kubernetes-embedded-resource"); !embedded {
		return
	}
	s.SetProperty("apiVersion", text("apiVersion defines the versioned schema of this representation of an object. More info: "+
		"https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"))
	s.SetProperty("kind", text("kind is a string value representing the type of this object. In CamelCase. More info: "+
		"https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"))
	s.SetProperty("metadata", d.refer(objectMetaModel, partialDoc["metadata"]))
	for _, name := range []string{"kind", "apiVersion"} {
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
}

func (d dialect) refer(model, doc string) spec.Schema {
	if d.v2 {
		return *spec.RefSchema(d.refs + model).WithDescription(doc)
	}
	// In the newer dialect nothing may stand beside a reference.
	return spec.Schema{SchemaProps: spec.SchemaProps{
		Description: doc, AllOf: []spec.Schema{*spec.RefSchema(d.refs + model)},
	}}
}

func text(doc string) spec.Schema { return *spec.StringProperty().WithDescription(doc) }

// Names and words of meta/v1.
var (
	objectMetaModel = metav1.ObjectMeta{}.OpenAPIModelName()
	listMetaModel   = metav1.ListMeta{}.OpenAPIModelName()
	typeDoc         = metav1.TypeMeta{}.SwaggerDoc()
	partialDoc      = metav1.PartialObjectMetadata{}.SwaggerDoc()
	partialListDoc  = metav1.PartialObjectMetadataList{}.SwaggerDoc()
)

// definitions returns the schemas of all of a definition's versions, with those of meta/v1 that they refer to.
func (k *kind) definitions() (map[string]*spec.Schema, error) {
	meta, err := metaSchemas()
	if err != nil {
		return nil, err
	}
	all := map[string]*spec.Schema{}
	for name, s := range meta {
		all[name] = s
	}
	for _, v := range k.versions {
		all[modelName(v, k.names.Kind)] = k.object(v, dialectV3)
	}
	return all, nil
}

// metaSchemas are those of meta/v1, by name.
var metaSchemas = sync.OnceValues(func() (map[string]*spec.Schema, error) {
	return api.SchemasV3(strings.TrimSuffix(objectMetaModel, "ObjectMeta"))
})
