package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bonsai/pkg/golden"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// describe writes paths as text, one operation after the other.
func describe(all []path) string {
	var b strings.Builder
	slices.SortFunc(all, func(p, q path) int { return cmp.Compare(p.url, q.url) })
	for _, p := range all {
		fmt.Fprintln(&b, p.url)
		for _, op := range p.ops {
			fmt.Fprintf(&b, "  %s %s: %s\n", op.method, op.id, op.doc)
			fmt.Fprintf(&b, "    %s of %s in %s, takes %s %v, gives %s %v %v\n", cmp.Or(op.action, "nothing"), cmp.Or(op.gvk.Kind, "no kind"), op.tag,
				cmp.Or(op.body, "nothing"), op.consumes, op.result, op.produces, op.returns)
			var names []string
			for _, q := range op.params {
				names = append(names, q.name+"="+q.in)
			}
			if names != nil {
				fmt.Fprintf(&b, "    %s\n", strings.Join(names, " "))
			}
		}
	}
	return b.String()
}

// widgets is a custom kind, with all that one may have.
func widgets() *resource.Row {
	return &resource.Row{
		Resource: "widgets", Singular: "widget", Kind: "Widget", Namespaced: true,
		Versions: []resource.Version{{GroupVersion: schema.GroupVersion{Group: "my-shop.example.com", Version: "v1"}}},
		Status:   &resource.Status{}, Scale: &resource.Scale{},
		Custom: &resource.Custom{Models: resource.CustomModels{
			Object: "com.example.my-shop.v1.Widget", List: "com.example.my-shop.v1.WidgetList",
			V2: someModels, V3: someModels,
		}},
	}
}

func someModels() (map[string]json.RawMessage, error) {
	return map[string]json.RawMessage{
		"com.example.my-shop.v1.Widget": json.RawMessage(`{"type":"object"}`), "com.example.my-shop.v1.WidgetList": json.RawMessage(`{"type":"object"}`),
	}, nil
}

// Each of these kinds has something that the others have not.
func TestOperations(t *testing.T) {
	all := append(resource.Table(), widgets())
	for _, kind := range []string{"Pod", "Namespace", "Endpoints", "Deployment", "ComponentStatus", "Widget"} {
		t.Run(kind, func(t *testing.T) {
			rows := slices.DeleteFunc(slices.Clone(all), func(r *resource.Row) bool { return r.Kind != kind })
			if kind == "ComponentStatus" {
				rows = append(rows, resource.ComponentStatuses(), resource.Bindings())
			}
			golden.Equal(t, "testdata/"+strings.ToLower(kind)+".txt", describe(paths(rows, rows[0].Versions[0].GroupVersion)))
		})
	}
}

func TestPathsWithoutKinds(t *testing.T) {
	found := roots(append(resource.Table(), widgets()))
	require.NotContains(t, found, "apis/my-shop.example.com")
	var some []path
	for _, name := range []string{"api", "apis", "apis/apps", "apis/rbac.authorization.k8s.io", "version", "openid/v1/jwks", ".well-known/openid-configuration"} {
		require.Contains(t, found, name)
		some = append(some, found[name])
	}
	golden.Equal(t, "testdata/roots.txt", describe(some))
}

// What all methods of a path take is said with the path; what many paths take is said once, in the older dialect, under a name
// that clients' generators have seen for years.
func TestParametersAreSaidOnce(t *testing.T) {
	p := at("/{name}",
		operation{method: "get", params: []parameter{pretty}}, operation{method: "put", params: withPretty(updateParams), body: patchModel})
	w := writerV2{shared: map[string]parameterV2{}}
	item := items([]path{p}, w)["/{name}"].(map[string]any)
	require.Equal(t, []any{
		parameterV2{UniqueItems: true, Type: "string", Description: "name of the ", Name: "name", In: "path", Required: true},
		map[string]string{"$ref": "#/parameters/pretty-tJGM1-ng"},
	}, item["parameters"])
	require.NotContains(t, item["get"], "parameters")
	require.Len(t, item["put"].(map[string]any)["parameters"], 4) // the body, dryRun, fieldManager, fieldValidation
	require.Contains(t, w.shared, "pretty-tJGM1-ng")
	require.Contains(t, w.shared, "fieldManager-Qy4HdaTW")
	require.NotContains(t, w.shared, "dryRun")
}

// documentOf is one document as JSON.
func documentOf(t *testing.T, s *Service, path string) (doc struct {
	Info       map[string]string
	Components struct {
		Schemas         map[string]map[string]any
		SecuritySchemes map[string]any
	}
}) {
	t.Helper()
	zipped, err := s.v3[path].json()
	require.NoError(t, err)
	text, err := unzip(zipped)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &doc))
	return doc
}

// A document of built-in kinds says of options that they are of its own version; one of custom kinds does not know.
func TestKindsOfOptions(t *testing.T) {
	s, err := New(append(resource.Table(), widgets()), nil, Elsewhere{})
	require.NoError(t, err)
	kinds := func(path string) any {
		return documentOf(t, s, path).Components.Schemas[deleteModel][kindExtension]
	}
	core := map[string]any{"group": "", "version": "v1", "kind": "DeleteOptions"}
	require.Equal(t, []any{core}, kinds("api/v1"))
	require.Equal(t, []any{core, map[string]any{"group": "apiextensions.k8s.io", "version": "v1", "kind": "DeleteOptions"}},
		kinds("apis/apiextensions.k8s.io/v1"))
	require.Greater(t, len(kinds("apis/my-shop.example.com/v1").([]any)), 40)

	builtIn, custom := documentOf(t, s, "api/v1"), documentOf(t, s, "apis/my-shop.example.com/v1")
	require.Equal(t, "1.37", builtIn.Info["version"])
	require.NotEmpty(t, builtIn.Components.SecuritySchemes)
	require.Equal(t, "Kubernetes CRD Swagger", custom.Info["title"])
	require.Empty(t, custom.Components.SecuritySchemes)
	require.NotContains(t, s.v3, "apis/my-shop.example.com")
}

// Documents of what has not changed are those that were there before.
func TestDocumentsAreKept(t *testing.T) {
	table := resource.Table()
	before, err := New(table, nil, Elsewhere{})
	require.NoError(t, err)
	after, err := New(append(slices.Clone(table), widgets()), before, Elsewhere{})
	require.NoError(t, err)
	require.Same(t, before.v3["version"], after.v3["version"])
	require.Same(t, before.v3["api/v1"], after.v3["api/v1"])
	require.NotSame(t, before.v2, after.v2)
}

func TestUnknownDocument(t *testing.T) {
	resp := get(t, serve(t).URL+"/openapi/v3/apis/none/v1", "")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Empty(t, body(t, resp))
}

// other is what another server says of a version: one path, with a model of its own by a name that is taken here, and one that is
// the same here.
const other = `{"swagger": "2.0", "info": {"title": "moods", "version": "1"},
	"paths": {"/apis/mood.example.com/v1/moods": {"get": {"operationId": "listMoods", "parameters": [{"$ref": "#/parameters/pretty-tJGM1-ng"}],
		"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/io.k8s.api.core.v1.ConfigMap"}}}}}},
	"parameters": {"pretty-tJGM1-ng": {"name": "pretty", "in": "query", "type": "boolean"}},
	"definitions": {
		"io.k8s.api.core.v1.ConfigMap": {"type": "object", "properties": {"mood": {"$ref": "#/definitions/com.example.mood.v1.Mood"}}},
		"com.example.mood.v1.Mood": {"type": "string"}}}`

func TestOtherServersAreMerged(t *testing.T) {
	said := Document{Name: "mood.example.com/v1", Hash: "1", Swagger: &spec.Swagger{}}
	require.NoError(t, json.Unmarshal([]byte(other), said.Swagger))
	broken := Document{Name: "broken.example.com/v1", Hash: "1", Swagger: &spec.Swagger{SwaggerProps: spec.SwaggerProps{Paths: nil}}}
	table := resource.Table()
	made := func(others ...Document) (hash string, doc map[string]map[string]any) {
		s, err := New(table, nil, Elsewhere{V2: others})
		require.NoError(t, err)
		hash, err = s.v2.hash()
		require.NoError(t, err)
		zipped, err := s.v2.json()
		require.NoError(t, err)
		text, err := unzip(zipped)
		require.NoError(t, err)
		var whole struct{ Paths, Definitions, Parameters map[string]any }
		require.NoError(t, json.Unmarshal(text, &whole))
		return hash, map[string]map[string]any{"paths": whole.Paths, "definitions": whole.Definitions, "parameters": whole.Parameters}
	}
	hash, alone := made()
	next, both := made(said, broken)
	require.NotEqual(t, hash, next)
	for part, of := range alone {
		for name, v := range of {
			require.Equal(t, v, both[part][name], name)
		}
	}
	require.Len(t, both["definitions"], len(alone["definitions"])+2)
	require.Equal(t, map[string]any{"type": "string"}, both["definitions"]["com.example.mood.v1.Mood"])
	require.Contains(t, both["definitions"]["io.k8s.api.core.v1.ConfigMap_v2"].(map[string]any)["properties"], "mood")
	text, err := json.Marshal(both["paths"]["/apis/mood.example.com/v1/moods"])
	require.NoError(t, err)
	require.Contains(t, string(text), `"#/definitions/io.k8s.api.core.v1.ConfigMap_v2"`)
	require.Contains(t, string(text), `"#/parameters/pretty-tJGM1-ng_v2"`)

	said.Hash = "2"
	changed, _ := made(said, broken)
	require.NotEqual(t, next, changed)
}
