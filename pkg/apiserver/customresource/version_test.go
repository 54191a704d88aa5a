package customresource

import (
	"testing"
	"time"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// cups defines a kind by its versions, the first of which is stored.
func cups(versions ...apiextensionsv1.CustomResourceDefinitionVersion) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{Spec: apiextensionsv1.CustomResourceDefinitionSpec{
		Group: "example.com", Scope: apiextensionsv1.NamespaceScoped, Versions: versions,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "cups", Singular: "cup", Kind: "Cup", ListKind: "CupList"},
	}}
	crd.Spec.Versions[0].Storage = true
	return crd
}

func compiled(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) *kind {
	k, err := compile(crd, crd.Spec.Names)
	require.NoError(t, err)
	k.convert, k.terminating = rename{}, func() bool { return false }
	return k
}

func TestDeprecation(t *testing.T) {
	own := "drink from glasses"
	version := func(name string, served, deprecated bool, text *string) apiextensionsv1.CustomResourceDefinitionVersion {
		return apiextensionsv1.CustomResourceDefinitionVersion{Name: name, Served: served, Deprecated: deprecated, DeprecationWarning: text}
	}
	k := compiled(t, cups(version("v1alpha1", true, true, nil), version("v1beta1", true, true, &own), version("v1", true, false, nil),
		version("v2", true, true, nil), version("v3", false, false, nil)))
	for name, want := range map[string]string{
		"v1alpha1": "example.com/v1alpha1 Cup is deprecated; use example.com/v1 Cup",
		"v1beta1":  own,
		"v1":       "",
		"v2":       "example.com/v2 Cup is deprecated",
	} {
		require.Equal(t, want, k.deprecation(k.versions[name]), name)
	}
}

// A null is not nothing: kubectl shows that there is one.
func TestNullsInColumns(t *testing.T) {
	k := compiled(t, cups(apiextensionsv1.CustomResourceDefinitionVersion{Name: "v1", Served: true,
		AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{
			{Name: "A", Type: "string", JSONPath: ".a"}, {Name: "B", Type: "string", JSONPath: ".b"}, {Name: "C", Type: "integer", JSONPath: ".c"}}}))
	_, cells := k.versions["v1"].columns()
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "x"}, "a": nil, "c": nil}}
	require.Equal(t, []any{"x", "<no value>", nil, nil}, cells(u, time.Unix(0, 0)))
}

// Whoever asks for all versions of a kind gets those that are served, and each makes objects of itself and of the row's.
func TestEveryVersion(t *testing.T) {
	k := compiled(t, cups(apiextensionsv1.CustomResourceDefinitionVersion{Name: "v1", Served: true},
		apiextensionsv1.CustomResourceDefinitionVersion{Name: "v2", Served: true}, apiextensionsv1.CustomResourceDefinitionVersion{Name: "v3"}))
	row := k.row(k.versions["v2"])
	require.True(t, row.ConvertsToStore())
	all := row.EveryVersion()
	require.Len(t, all, 2)
	require.Equal(t, []string{"v2", "v1"}, []string{all[0].Version, all[1].Version})
	v2 := all[0].New()
	v1, err := all[1].FromStorage(v2)
	require.NoError(t, err)
	require.Equal(t, "example.com/v1, Kind=Cup", v1.GetObjectKind().GroupVersionKind().String())
	back, err := all[1].ToStorage(v1)
	require.NoError(t, err)
	require.Equal(t, v2, back)
}

// A definition whose schema cannot be compiled still tells where its objects are.
func TestBare(t *testing.T) {
	crd := cups(apiextensionsv1.CustomResourceDefinitionVersion{Name: "v1", Served: true, Schema: &apiextensionsv1.CustomResourceValidation{
		OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"a": {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{JSONSchemas: []apiextensionsv1.JSONSchemaProps{{Type: "string"}}}}}}}})
	_, err := compile(crd, crd.Spec.Names)
	require.Error(t, err)
	row := bare(crd, crd.Spec.Names)
	require.Equal(t, schema.GroupVersion{Group: "example.com", Version: "v1"}, row.Custom.Stored)
	require.Equal(t, "/registry/example.com/cups/ns/x", row.Key("ns", "x"))
	obj, err := row.DecodeStorage([]byte(`{"apiVersion":"example.com/v1","kind":"Cup","metadata":{"name":"x"},"a":[1,"b"]}`), 7)
	require.NoError(t, err)
	require.Equal(t, []any{int64(1), "b"}, resource.AsCustom(obj).Object["a"], "nothing is cut off")
	require.True(t, row.Custom.Terminating())
}
