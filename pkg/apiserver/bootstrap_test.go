package apiserver

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a cluster cannot do without is made again if somebody has deleted it, and otherwise left as it is.
func TestFirstObjectsComeBack(t *testing.T) {
	c := start(t)
	const service, namespace = "/api/v1/namespaces/default/services/kubernetes", "/api/v1/namespaces/kube-node-lease"
	_, before := c.do("GET "+service, "")
	require.NoError(t, c.server.keepFirst(t.Context()))
	_, after := c.do("GET "+service, "")
	require.Equal(t, before, after)
	c.do("DELETE "+service, "")
	c.do("DELETE "+namespace, "")
	r, body := c.do("PUT "+namespace+"/finalize", `{"metadata":{"name":"kube-node-lease"}}`)
	require.Equal(t, http.StatusOK, r.StatusCode, body)
	for _, path := range []string{service, namespace} {
		r, _ := c.do("GET "+path, "")
		require.Equal(t, http.StatusNotFound, r.StatusCode, path)
	}
	require.NoError(t, c.server.keepFirst(t.Context()))
	for _, path := range []string{service, namespace} {
		r, _ := c.do("GET "+path, "")
		require.Equal(t, http.StatusOK, r.StatusCode, path)
	}
}
