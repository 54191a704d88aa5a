package discovery

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/golden"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

func at(gvs ...schema.GroupVersion) []resource.Version {
	var list []resource.Version
	for _, gv := range gvs {
		list = append(list, resource.Version{GroupVersion: gv})
	}
	return list
}

// rows are few, but have each of the forms that rows have.
func rows() []*resource.Row {
	list := []*resource.Row{
		{
			Resource: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}, Categories: []string{"all"}, Namespaced: true,
			Versions: at(corev1.SchemeGroupVersion), Prefix: "pods", Status: &resource.Status{},
			Subresources: []resource.Subresource{
				{Name: "log", Kind: "Pod", GroupVersion: corev1.SchemeGroupVersion, Verbs: []string{"get"}},
				{Name: "exec", Kind: "PodExecOptions", GroupVersion: corev1.SchemeGroupVersion, Verbs: []string{"get", "create"}},
				{Name: "eviction", Kind: "Eviction", GroupVersion: policyv1.SchemeGroupVersion, Verbs: []string{"create"}},
			},
		},
		{
			Resource: "serviceaccounts", Singular: "serviceaccount", Kind: "ServiceAccount", ShortNames: []string{"sa"}, Namespaced: true,
			Versions: at(corev1.SchemeGroupVersion), Prefix: "serviceaccounts",
			Subresources: []resource.Subresource{{Name: "token", Kind: "TokenRequest", GroupVersion: authenticationv1.SchemeGroupVersion, Verbs: []string{"create"}}},
		},
		{Resource: "nodes", Singular: "node", Kind: "Node", ShortNames: []string{"no"}, Versions: at(corev1.SchemeGroupVersion), Prefix: "minions", Status: &resource.Status{}},
		{
			Resource: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler", Kind: "HorizontalPodAutoscaler", ShortNames: []string{"hpa"}, Namespaced: true,
			Versions: at(autoscalingv1.SchemeGroupVersion, autoscalingv2.SchemeGroupVersion), Prefix: "horizontalpodautoscalers", Status: &resource.Status{},
		},
		{
			Resource: "deployments", Singular: "deployment", Kind: "Deployment", ShortNames: []string{"deploy"}, Categories: []string{"all"}, Namespaced: true,
			Versions: at(appsv1.SchemeGroupVersion), Prefix: "deployments", Status: &resource.Status{}, Scale: &resource.Scale{},
		},
		{
			Resource: "bonsais", Singular: "bonsai", Kind: "Bonsai", Versions: at(schema.GroupVersion{Group: "example.com", Version: "v1"}), Prefix: "example.com/bonsais",
			Status: &resource.Status{}, Scale: &resource.Scale{}, Custom: &resource.Custom{Terminating: func() bool { return false }},
		},
	}
	for _, r := range auth.Reviews(nil, nil, nil) {
		list = append(list, r.Row)
	}
	return list
}

func documents(t *testing.T) *Documents {
	t.Helper()
	d, err := New(rows(), "192.0.2.7:6443")
	require.NoError(t, err)
	return d
}

func get(d *Documents, path, accept string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	d.Serve(w, r, false)
	return w
}

func TestDocuments(t *testing.T) {
	const v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	d := documents(t)
	for name, tc := range map[string]struct{ path, accept, contentType string }{
		"api":             {"/api", "", "application/json"},
		"api-v1":          {"/api/v1", "*/*", "application/json"},
		"apis":            {"/apis/", "application/json", "application/json"},
		"apis-autoscaler": {"/apis/autoscaling", "", "application/json"},
		"apis-apps-v1":    {"/apis/apps/v1", "", "application/json"},
		"api-v2":          {"/api", v2 + ",application/json", v2},
		"apis-v2":         {"/apis", v2 + ",application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", v2},
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, d.Serves(tc.path))
			w := get(d, tc.path, tc.accept)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, tc.contentType, w.Header().Get("Content-Type"))
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, w.Body.Bytes(), "", "  "))
			golden.Equal(t, "testdata/"+name+".json", pretty.String())
		})
	}
}

func TestNegotiation(t *testing.T) {
	const v2 = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	for name, tc := range map[string]struct {
		accept     string
		both       bool
		want       string
		aggregated bool
	}{
		"nothing":                         {"", true, typeJSON, false},
		"curl":                            {"*/*", true, typeJSON, false},
		"aggregated":                      {typeJSON + v2, true, typeJSON, true},
		"aggregated where there is none":  {typeJSON + v2 + "," + typeJSON, false, typeJSON, false},
		"only the older aggregated":       {"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", true, "", false},
		"protobuf first":                  {typeProtobuf + ", " + typeJSON, true, typeProtobuf, false},
		"a browser":                       {"text/html,application/xhtml+xml,*/*;q=0.8", true, typeJSON, false},
		"something unknown":               {"text/html", true, "", false},
		"something unparsable, then JSON": {";;," + typeJSON, true, typeJSON, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, aggregated := negotiate(tc.accept, tc.both)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.aggregated, aggregated)
		})
	}
	require.Equal(t, http.StatusNotAcceptable, get(documents(t), "/apis", "text/html").Code)
}

// What people look at is laid out for them, but for the aggregated form, which is only for programs.
func TestPretty(t *testing.T) {
	d := documents(t)
	show := func(path, accept string) string {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		d.Serve(w, r, true)
		return w.Body.String()
	}
	require.Contains(t, show("/apis/apps", "application/json"), "{\n  \"kind\": \"APIGroup\",\n")
	require.Contains(t, show("/apis/apps", "application/yaml"), "kind: APIGroup\n")
	require.Contains(t, show("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"), `{"kind":"APIGroupDiscoveryList",`)
}

func TestETagSavesTheBody(t *testing.T) {
	const v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	d := documents(t)
	etag := get(d, "/apis", v2).Header().Get("ETag")
	require.NotEmpty(t, etag)
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/apis", nil)
	r.Header.Set("Accept", v2)
	r.Header.Set("If-None-Match", etag)
	d.Serve(w, r, false)
	require.Equal(t, http.StatusNotModified, w.Code)
	require.Empty(t, w.Body.Bytes())

	fewer, err := New(rows()[:3], "192.0.2.7:6443")
	require.NoError(t, err)
	require.NotEqual(t, etag, get(fewer, "/apis", v2).Header().Get("ETag"))
}

// The hashes that upstream's server shows for kinds it has.
func TestStorageHash(t *testing.T) {
	for kind, want := range map[string]string{"Pod": "xPOwRZ+Yhw8=", "Node": "XwShjMxG9Fs=", "Namespace": "Q3oi5N2YM8M="} {
		require.Equal(t, want, storageHash(corev1.SchemeGroupVersion.WithKind(kind)), kind)
	}
}

// All kinds of the cluster can be told.
func TestWholeTable(t *testing.T) {
	all := resource.Table()
	for _, r := range auth.Reviews(nil, nil, nil) {
		all = append(all, r.Row)
	}
	d, err := New(all, "192.0.2.7:6443")
	require.NoError(t, err)
	require.True(t, d.Serves("/apis/authorization.k8s.io/v1"))
	require.False(t, d.Serves("/apis/nothing/v1"))
	require.Equal(t, http.StatusNotFound, get(d, "/apis/nothing/v1", "").Code)
}

// The two forms, read by client-go, say the same.
func TestClientSeesTheSameInBothForms(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { documents(t).Serve(w, r, false) }))
	defer server.Close()
	lists := map[bool]string{}
	for _, legacy := range []bool{false, true} {
		c, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: server.URL})
		require.NoError(t, err)
		c.UseLegacyDiscovery = legacy
		groups, resources, err := c.ServerGroupsAndResources()
		require.NoError(t, err)
		slices.SortFunc(resources, func(a, b *metav1.APIResourceList) int { return cmp.Compare(a.GroupVersion, b.GroupVersion) })
		for _, l := range resources {
			l.TypeMeta = metav1.TypeMeta{} // these and those below are what client-go makes of the forms
			for i := range l.APIResources {
				r := &l.APIResources[i]
				r.StorageVersionHash = "" // only the older form has it
				if strings.Contains(r.Name, "/") {
					r.SingularName = ""
				}
				if r.Version == "" { // what the older form leaves out
					gv, err := schema.ParseGroupVersion(l.GroupVersion)
					require.NoError(t, err)
					r.Group, r.Version = gv.Group, gv.Version
				}
			}
		}
		b, err := json.MarshalIndent(map[string]any{"groups": groups, "resources": resources}, "", " ")
		require.NoError(t, err)
		lists[legacy] = string(b)
	}
	require.Equal(t, lists[true], lists[false])
}
