package customresource

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/golden"
)

// What a schema says of values is published in both dialects; defaults, nullable values and alternatives only in the newer one.
func TestModels(t *testing.T) {
	data, err := os.ReadFile("testdata/models/schema.yaml")
	require.NoError(t, err)
	props := &apiextensionsv1.JSONSchemaProps{}
	require.NoError(t, yaml.UnmarshalStrict(data, props))
	crd := thing(props, ".spec")
	crd.Spec.Versions = crd.Spec.Versions[:1]
	k, err := compile(crd, crd.Spec.Names)
	require.NoError(t, err)
	models := k.rows()[0].Custom.Models
	for name, dialect := range map[string]func() (map[string]json.RawMessage, error){"v2.json": models.V2, "v3.json": models.V3} {
		got, err := dialect()
		require.NoError(t, err)
		var text bytes.Buffer
		require.NoError(t, json.Indent(&text, got[models.Object], "", " "))
		text.WriteByte('\n')
		golden.Equal(t, "testdata/models/"+name, text.String())
	}
}
