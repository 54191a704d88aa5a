package resource

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// A definition with one version: what is the same for every version is said once.
const oneVersion = `{"metadata": {"name": "apples.example.org"}, "spec": {
	"group": "example.org", "scope": "Cluster", "names": {"plural": "apples", "singular": "apple", "kind": "Apple", "listKind": "AppleList"},
	"versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
		"schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "default": {"b": 1.0, "a": "<"}}}}}}]}}`

// The value is to the byte what kube-apiserver makes of it.
const oneVersionKept = `{"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v1beta1","metadata":{"name":"apples.example.org"},` +
	`"spec":{"group":"example.org","version":"v1","names":{"plural":"apples","singular":"apple","kind":"Apple","listKind":"AppleList"},` +
	`"scope":"Cluster","validation":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","default":{"a":"\u003c","b":1}}}}},` +
	`"subresources":{"status":{}},"versions":[{"name":"v1","served":true,"storage":true}],"conversion":{"strategy":"None"},` +
	`"preserveUnknownFields":false},"status":{"conditions":null,"acceptedNames":{"plural":"","kind":""},"storedVersions":["v1"]}}` + "\n"

func definitionOf(t *testing.T, text string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	d := &apiextensionsv1.CustomResourceDefinition{}
	require.NoError(t, json.Unmarshal([]byte(text), d))
	return d
}

func TestDefinitionsAreKeptAsV1beta1(t *testing.T) {
	row, d := customResourceDefinitions(), definitionOf(t, oneVersion)
	row.Default(d)
	value, err := row.EncodeStorage(d)
	require.NoError(t, err)
	require.Equal(t, oneVersionKept, string(value))

	got, err := row.DecodeStorage(value, 3)
	require.NoError(t, err)
	d.SetResourceVersion("3")
	require.Equal(t, d, got)

	// What differs from version to version stays with each.
	two := definitionOf(t, oneVersion)
	two.Spec.Versions = append(two.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: "v2", Served: true,
		Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}}})
	row.Default(two)
	value, err = row.EncodeStorage(two)
	require.NoError(t, err)
	require.NotContains(t, string(value), `"validation"`)
	got, err = row.DecodeStorage(value, 4)
	require.NoError(t, err)
	two.SetResourceVersion("4")
	require.Equal(t, two, got)
}

// What was stored in protobuf goes on being read, and so does JSON of the version that is served.
func TestValuesOfOldAreRead(t *testing.T) {
	row, d := customResourceDefinitions(), definitionOf(t, oneVersion)
	row.Default(d)
	d.SetResourceVersion("")
	proto, err := EncodeProtobuf(row.GVK(), d)
	require.NoError(t, err)
	text, err := EncodeJSON(row.GVK(), d)
	require.NoError(t, err)
	for _, value := range [][]byte{proto, text} {
		got, err := row.DecodeStorage(value, 5)
		require.NoError(t, err)
		require.Equal(t, d.Spec, got.(*apiextensionsv1.CustomResourceDefinition).Spec)
	}

	services, a := apiServices(), &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{Group: "g", Version: "v1"}}
	proto, err = EncodeProtobuf(services.GVK(), a)
	require.NoError(t, err)
	text, err = services.EncodeStorage(a)
	require.NoError(t, err)
	for _, value := range [][]byte{proto, text} {
		got, err := services.DecodeStorage(value, 5)
		require.NoError(t, err)
		require.Equal(t, a.Spec, got.(*apiregistrationv1.APIService).Spec)
	}
}

func TestUnreadableJSONIsAnError(t *testing.T) {
	row := customResourceDefinitions()
	for _, value := range []string{"", "{", "null", "[]", `{"kind":"Pod","apiVersion":"v1"}`, `{"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v2"}`,
		`{"kind":"CustomResourceDefinition","apiVersion":"apiextensions.k8s.io/v1beta1","spec":1}`} {
		_, err := row.DecodeStorage([]byte(value), 1)
		require.ErrorContains(t, err, "decode stored CustomResourceDefinition", value)
	}
}

// A default means the same however it is written, so to write it otherwise is no change.
func TestDefinitionsAreNormalized(t *testing.T) {
	row, one := customResourceDefinitions(), definitionOf(t, oneVersion)
	other := definitionOf(t, oneVersion)
	schema := other.Spec.Versions[0].Schema.OpenAPIV3Schema
	spec := schema.Properties["spec"]
	spec.Default = &apiextensionsv1.JSON{Raw: []byte(`{"a":"<", "b":1}`)}
	schema.Properties["spec"] = spec
	row.Default(one)
	row.Default(other)
	require.Equal(t, one.Spec, other.Spec)
}
