package definition

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// widgets is a definition with this schema, and this many selectable fields.
func widgets(t *testing.T, schema string, selectable int) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	props := &apiextensionsv1.JSONSchemaProps{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(schema), props))
	v := apiextensionsv1.CustomResourceDefinitionVersion{Name: "v1", Served: true, Storage: true,
		Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: props}}
	for i := range selectable {
		v.SelectableFields = append(v.SelectableFields, apiextensionsv1.SelectableField{JSONPath: fmt.Sprintf(".f%d", i)})
	}
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "widgets.x.com", ResourceVersion: "1"}}
	crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{Group: "x.com", Scope: apiextensionsv1.ClusterScoped,
		Names:    apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Kind: "Widget"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{v}}
	Default(crd)
	return crd
}

// What a definition had wrong before there was a rule about it may stay, and is refused in a new definition.
func TestOldSinsMayStay(t *testing.T) {
	fields := `{type: object, properties: {`
	for i := range 9 {
		fields += fmt.Sprintf("f%d: {type: string},", i)
	}
	fields += `}}`
	for name, crd := range map[string]*apiextensionsv1.CustomResourceDefinition{
		"not structural":   widgets(t, `{type: object, properties: {a: {}}}`, 0),
		"a default to cut": widgets(t, `{type: object, properties: {a: {type: object, default: {b: 1}}}}`, 0),
		"a loose set":      widgets(t, `{type: object, properties: {a: {type: array, x-kubernetes-list-type: set, items: {type: object}}}}`, 0),
		"keys that may be missing": widgets(t, `{type: object, properties: {a: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k],
			items: {type: object, properties: {k: {type: string}}}}}}`, 0),
		"an expensive rule":  widgets(t, `{type: object, properties: {a: {type: array, items: {type: string}, x-kubernetes-validations: [{rule: "self.all(x, self.exists_one(y, x == y))"}]}}}`, 0),
		"too much to select": widgets(t, fields, 9),
	} {
		t.Run(name, func(t *testing.T) {
			// From the days when nothing had to be structural.
			crd.Spec.PreserveUnknownFields = name == "not structural"
			require.NotEmpty(t, Validate(crd))
			next := crd.DeepCopy()
			next.Spec.Names.ShortNames = []string{"w"}
			errs := ValidateUpdate(next, crd)
			if name == "an expensive rule" { // together the rules of a schema stay bounded, unchanged or not
				require.Contains(t, errs.ToAggregate().Error(), "entire OpenAPIv3 schema")
				return
			}
			require.Empty(t, errs)
		})
	}
}

// Once a kind is established, objects of it may exist, and what places them is fixed.
func TestWhatPlacesObjectsIsFixed(t *testing.T) {
	old := widgets(t, `{type: object}`, 0)
	next := old.DeepCopy()
	next.Spec.Scope, next.Spec.Names.Kind, next.Spec.Names.ListKind = apiextensionsv1.NamespaceScoped, "Other", "OtherList"
	require.Empty(t, ValidateUpdate(next, old))
	old.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
	require.EqualError(t, ValidateUpdate(next, old).ToAggregate(),
		`[spec.scope: Invalid value: "Namespaced": field is immutable, spec.names.kind: Invalid value: "Other": field is immutable]`)
}
