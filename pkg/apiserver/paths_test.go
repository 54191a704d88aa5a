package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"bonsai/pkg/apiserver/auth"

	"github.com/stretchr/testify/require"
)

// asked notes what the authorizer is asked, and allows it.
type asked struct {
	mu   sync.Mutex
	last auth.Request
}

func (a *asked) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = r
	return auth.Allow, "", nil
}

// What is authorized is what is served: a path that can be read in two ways must not be read by the authorizer in one and by the
// verb in the other.
func TestOddPaths(t *testing.T) {
	a := &asked{}
	c := start(t, func(cfg *Config) { cfg.Authorizer = a })
	for _, name := range []string{"mine", "other"} {
		_, body := c.do("POST /api/v1/namespaces/default/secrets", `{"metadata":{"name":"`+name+`"}}`)
		require.Contains(t, body, name)
	}
	for _, tc := range []struct {
		line string
		code int
		// verb, resource, namespace and name as authorized, joined by spaces; what must not be in the answer.
		as, without string
	}{
		{"GET /api/v1/namespaces/default/namespaces/kube-system", 404, "get namespaces default kube-system", "uid"},
		{"GET /api/v1/namespaces/default/namespaces", 404, "list namespaces default ", "uid"},
		{"DELETE /api/v1/namespaces/default/namespaces/kube-node-lease", 404, "delete namespaces default kube-node-lease", "uid"},
		{"GET /api/v1/namespaces/default/", 200, "get namespaces default default", ""},
		{"GET /api/v1/namespaces//secrets/mine", 404, "get secrets  mine", "uid"},
		{"GET /api/v1/secrets/mine", 404, "get secrets  mine", "uid"},
		{"GET /api/v1/pods/x/log", 404, "get pods  x", "uid"},
		{"GET /api/v1/namespaces/default/secrets/../secrets", 404, "get secrets default ..", "uid"},
		{"GET /api/v1/namespaces/default/configmaps/..%2Fsecrets%2Fmine", 404, "get configmaps default ..", "uid"},
		{"GET /api/v1/namespaces/default/secrets/mine%2F", 200, "get secrets default mine", ""},
		{"GET /api/v1/namespaces/default/status/more", 404, "get namespaces default default", "uid"},
		{"GET /api/v1/watch/namespaces/default/secrets/mine?fieldSelector=metadata.name=other&timeoutSeconds=1", 400, "watch secrets default mine", `"name":"other"`},
		{"POST /api/v1/watch/namespaces/default/secrets", 405, "watch secrets default ", "uid"},
		{"DELETE /api/v1/namespaces/default/secrets?fieldSelector=metadata.name=none", 200, "deletecollection secrets default ", `"uid"`},
		{"GET /api/v1/namespaces/default/secrets?fieldSelector=metadata.name=mine", 200, "list secrets default mine", `"name":"other"`},
		{"GET /api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3D..%2Fmine", 200, "list secrets default ", `"uid"`},
		{"OPTIONS /api/v1/namespaces/default/secrets", 405, " secrets default ", "uid"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			resp, body := c.do(tc.line, "")
			require.Equal(t, tc.code, resp.StatusCode, body)
			require.Equal(t, tc.as, strings.Join([]string{a.last.Verb, a.last.Resource, a.last.Namespace, a.last.Name}, " "))
			if tc.without != "" {
				require.NotContains(t, body, tc.without)
			}
		})
	}
}

// A bool in a query is true unless it says "false" or "0": the Python client says "True".
func TestWatchParameter(t *testing.T) {
	for query, verb := range map[string]string{
		"watch=true": "watch", "watch=True": "watch", "watch=1": "watch", "watch": "watch", "watch=yes": "watch",
		"watch=false": "list", "watch=FALSE": "list", "watch=0": "list", "": "list", "watch=0&watch=1": "list",
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/pods?"+query, nil)
		require.Equal(t, verb, parseTarget(r).verb, query)
	}
}
