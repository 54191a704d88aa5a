package openapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubectlresource "k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/rest"
	explain "k8s.io/kubectl/pkg/explain/v2"
	kubectlopenapi "k8s.io/kubectl/pkg/util/openapi"
)

// serve starts a server of the documents of the whole table.
func serve(t *testing.T) *httptest.Server {
	s, err := New(resource.Table(), nil, Elsewhere{})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("/openapi/v2", s.ServeV2)
	mux.HandleFunc("/openapi/v3", s.ServeV3Index)
	mux.HandleFunc("/openapi/v3/", s.ServeV3)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// client is the one that kubectl has.
func client(t *testing.T) *discovery.DiscoveryClient {
	c, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: serve(t).URL})
	require.NoError(t, err)
	return c
}

// TestKubectlFindsEveryKind asks with kubectl's own code what kubectl asks before it writes: does the server check
// fields, and what is the kind's schema.
func TestKubectlFindsEveryKind(t *testing.T) {
	c := client(t)
	v2, err := c.OpenAPISchema()
	require.NoError(t, err)
	schemas, err := kubectlopenapi.NewOpenAPIData(v2)
	require.NoError(t, err)
	v3 := kubectlresource.NewQueryParamVerifierV3(nil, c.OpenAPIV3(), kubectlresource.QueryParamFieldValidation)

	for _, row := range resource.Table() {
		for _, v := range row.Versions {
			gvk := v.WithKind(row.Kind)
			require.NotNil(t, schemas.LookupResource(gvk), gvk)
			require.NoError(t, v3.HasSupport(gvk), gvk)
		}
	}
}

func TestEveryV3DocumentParses(t *testing.T) {
	root := openapi3.NewRoot(client(t).OpenAPIV3())
	versions, err := root.GroupVersions()
	require.NoError(t, err)
	require.Contains(t, versions, schema.GroupVersion{Version: "v1"})
	for _, gv := range versions {
		spec, err := root.GVSpec(gv)
		require.NoError(t, err, gv)
		require.NotEmpty(t, spec.Paths.Paths, gv)
		ids := map[string]bool{}
		for url, path := range spec.Paths.Paths {
			require.True(t, strings.HasPrefix(url, "/"+groupPath(gv)+"/"), url)
			if path.Get != nil {
				require.False(t, ids[path.Get.OperationId], "two operations are %s", path.Get.OperationId)
				ids[path.Get.OperationId] = true
			}
		}
	}
}

func TestKubectlExplains(t *testing.T) {
	var out bytes.Buffer
	err := explain.PrintModelDescription([]string{"data"}, &out, client(t).OpenAPIV3(),
		schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, false, 0, "plaintext")
	require.NoError(t, err)
	require.Contains(t, out.String(), "KIND:       ConfigMap\nVERSION:    v1\n\nFIELD: data <map[string]string>")
}

// get is one request, for a form, with headers in pairs.
func get(t *testing.T, url, accept string, headers ...string) *http.Response {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", accept)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func body(t *testing.T, r *http.Response) []byte {
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return b
}

func TestNegotiation(t *testing.T) {
	url := serve(t).URL
	for _, c := range []struct{ path, accept, contentType string }{
		{"/openapi/v2", "", "application/json"},
		{"/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"},
		{"/openapi/v2", "text/html;q=0.9, */*;q=0.1", "application/json"},
		{"/openapi/v3/api/v1", "application/json", "application/json"},
		{"/openapi/v3/api/v1", "application/com.github.proto-openapi.spec.v3@v1.0+protobuf", "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"},
	} {
		resp := get(t, url+c.path, c.accept)
		require.Equal(t, http.StatusOK, resp.StatusCode, c)
		require.Equal(t, c.contentType, resp.Header.Get("Content-Type"), c)
	}
	require.Equal(t, http.StatusNotAcceptable, get(t, url+"/openapi/v2", "text/html").StatusCode)
	require.Equal(t, http.StatusNotFound, get(t, url+"/openapi/v3/apis/nothing/v1", "").StatusCode)
}

func TestCompressedAndNotAreTheSame(t *testing.T) {
	url := serve(t).URL + "/openapi/v3/api/v1"
	zipped := get(t, url, "", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", zipped.Header.Get("Content-Encoding"))
	text, err := unzip(body(t, zipped))
	require.NoError(t, err)
	require.Equal(t, text, body(t, get(t, url, "")))
	require.True(t, json.Valid(text))
}

func TestHashes(t *testing.T) {
	url := serve(t).URL
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	require.NoError(t, json.Unmarshal(body(t, get(t, url+"/openapi/v3", "")), &index))
	current := index.Paths["api/v1"].ServerRelativeURL

	resp := get(t, url+current, "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "public, immutable", resp.Header.Get("Cache-Control"))
	etag := resp.Header.Get("Etag")
	require.Equal(t, http.StatusNotModified, get(t, url+current, "", "If-None-Match", etag).StatusCode)

	stale := get(t, url+"/openapi/v3/api/v1?hash=OLD", "")
	require.Equal(t, http.StatusMovedPermanently, stale.StatusCode)
	require.Equal(t, current, stale.Header.Get("Location"))

	again := serve(t).URL
	require.Equal(t, etag, get(t, again+current, "").Header.Get("Etag"), "the same table, the same hash")
}
