package customresource

import (
	"fmt"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiversion "k8s.io/apimachinery/pkg/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// kind is a definition, compiled: what its versions have in common.
type kind struct {
	crd *apiextensionsv1.CustomResourceDefinition
	// names are the accepted ones.
	names    apiextensionsv1.CustomResourceDefinitionNames
	stored   schema.GroupVersion
	versions map[string]*version
	convert  Converter
	types    *typeConverter
	// terminating tells whether the definition is being deleted.
	terminating func() bool
}

// version is what follows from one version of a definition.
type version struct {
	apiextensionsv1.CustomResourceDefinitionVersion
	gvk        schema.GroupVersionKind
	namespaced bool
	// structural is nil for definitions of old without a schema, of which everything is kept.
	structural *structuralschema.Structural
	// keepUnknown is for definitions of old: nothing is cut off.
	keepUnknown          bool
	schema, statusSchema validation.SchemaValidator
	rules                func() *cel.Validator
	hasStatus            bool
	scale                *scale
	fields               []selectable
}

// compile returns the kind that a definition makes under the accepted names.
func compile(crd *apiextensionsv1.CustomResourceDefinition, names apiextensionsv1.CustomResourceDefinitionNames) (*kind, error) {
	k := &kind{crd: crd, names: names, versions: map[string]*version{}}
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		gv := schema.GroupVersion{Group: crd.Spec.Group, Version: v.Name}
		if v.Storage {
			k.stored = gv
		}
		made, err := compileVersion(crd, v, gv.WithKind(names.Kind))
		if err != nil {
			return nil, fmt.Errorf("version %s: %w", v.Name, err)
		}
		k.versions[v.Name] = made
	}
	k.types = newTypeConverter(k)
	return k, nil
}

func compileVersion(crd *apiextensionsv1.CustomResourceDefinition, v *apiextensionsv1.CustomResourceDefinitionVersion, gvk schema.GroupVersionKind) (*version, error) {
	made := &version{
		CustomResourceDefinitionVersion: *v, gvk: gvk,
		namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped, keepUnknown: crd.Spec.PreserveUnknownFields,
		rules: func() *cel.Validator { return nil },
	}
	if sub := v.Subresources; sub != nil {
		made.hasStatus = sub.Status != nil
		made.scale = newScale(sub.Scale)
	}
	for _, f := range v.SelectableFields {
		made.fields = append(made.fields, newSelectable(f.JSONPath))
	}
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return made, nil
	}
	return made, made.compileSchema(v.Schema.OpenAPIV3Schema)
}

// compileSchema makes what checks objects. The rules are compiled when the first object comes: that takes milliseconds, and of
// the many definitions that a cluster may have, most of those of a start are not used soon.
func (v *version) compileSchema(props *apiextensionsv1.JSONSchemaProps) error {
	internal := &apiextensions.JSONSchemaProps{}
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, internal, nil)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if v.structural, err = structuralschema.NewStructural(internal); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if v.schema, _, err = validation.NewSchemaValidator(internal); err != nil {
		return fmt.Errorf("make the validator: %w", err)
	}
	if status, ok := internal.Properties["status"]; ok && v.hasStatus {
		if v.statusSchema, _, err = validation.NewSchemaValidator(&status); err != nil {
			return fmt.Errorf("make the validator of the status: %w", err)
		}
	}
	v.rules = sync.OnceValue(func() *cel.Validator { return cel.NewValidator(v.structural, true, celconfig.PerCallLimit) })
	return nil
}

// deprecation is the warning that requests for the version are answered with; empty if there is none.
// Unless the author has words of his own, it names the newest version to use instead.
func (k *kind) deprecation(v *version) string {
	switch {
	case !v.Deprecated:
		return ""
	case v.DeprecationWarning != nil:
		return *v.DeprecationWarning
	}
	text, best := fmt.Sprintf("%s/%s %s is deprecated", v.gvk.Group, v.gvk.Version, v.gvk.Kind), v.Name
	for name, other := range k.versions {
		if other.Served && !other.Deprecated && apiversion.CompareKubeAwareVersionStrings(best, name) < 0 {
			best = name
		}
	}
	if best != v.Name {
		text += fmt.Sprintf("; use %s/%s %s", v.gvk.Group, best, v.gvk.Kind)
	}
	return text
}

// fieldsOf splits a path like .spec.replicas.
func fieldsOf(path string) []string { return strings.Split(strings.TrimPrefix(path, "."), ".") }
