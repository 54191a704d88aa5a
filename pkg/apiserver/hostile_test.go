package apiserver

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"bonsai/pkg/apiserver/auth"

	"github.com/stretchr/testify/require"
)

// Who has no credentials can still ask for anything; none of it may be remembered for ever.
func TestNonsenseMakesNoTimeSeries(t *testing.T) {
	c := start(t)
	nonsense := func(i int) {
		c.do(fmt.Sprintf("MAKE%d /version", i), "", "User-Name: nobody")
		c.do(fmt.Sprintf("MAKE%d /api/v1/pods", i), "", "User-Name: nobody")
		c.do(fmt.Sprintf("GET /api/v1/namespaces/default/pods/x/sub%d", i), "", "User-Name: nobody")
		c.do(fmt.Sprintf("GET /api/v1/things%d", i), "", "User-Name: nobody")
	}
	nonsense(0)
	series := func() (n int) {
		families, err := c.server.metrics.registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "apiserver_request_") {
				n += len(f.GetMetric())
			}
		}
		return n
	}
	before := series()
	for i := range 5 {
		nonsense(i)
	}
	require.Equal(t, before, series())
}

// A patch that doubles what it copies forty times over is refused before it fills the memory.
func TestCopyingPatch(t *testing.T) {
	c := start(t)
	c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"},"data":{"k":"`+strings.Repeat("x", 1<<16)+`"}}`)
	ops := []string{}
	for i := range 40 {
		ops = append(ops, fmt.Sprintf(`{"op":"copy","from":"/data","path":"/data/k%d"}`, i))
	}
	resp, body := c.do("PATCH /api/v1/namespaces/default/configmaps/a", "["+strings.Join(ops, ",")+"]",
		"Content-Type: application/json-patch+json")
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode, body[:min(len(body), 300)])
}

func TestLongTraceparentIsNotKept(t *testing.T) {
	c := start(t)
	resp, _ := c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`, "Traceparent: "+strings.Repeat("x", 1<<15))
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	for _, cause := range c.server.causes.all() {
		require.Less(t, len(cause.Traceparent), 200)
	}
}

// A client that begins a body and never ends it has until its deadline, and no place among the requests in flight after it.
func TestSlowBody(t *testing.T) {
	c := start(t)
	for _, protocol := range []*http.Client{c.http, {Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} {
		body, more := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/api/v1/namespaces/default/configmaps?timeout=50ms", body)
		require.NoError(t, err)
		go func() { _, _ = more.Write([]byte("{")) }()
		resp, err := protocol.Do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusGatewayTimeout, resp.StatusCode)
		resp.Body.Close()
		more.Close()
	}
}

// Clients of HTTP/1 ask again on the connection that their watch was on, and on another after a request that was given up.
func TestRequestAfterEnd(t *testing.T) {
	c := start(t)
	c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, first := range []string{
		"GET /api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1",
		"POST /api/v1/namespaces/default/configmaps?timeout=1ns",
	} {
		c.do(first, `{"metadata":{"name":"late"}}`)
		resp, body := c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"generateName":"a"}}`)
		require.Equal(t, http.StatusCreated, resp.StatusCode, body)
	}
	c.http.CloseIdleConnections()
}

func TestImpersonatedGroups(t *testing.T) {
	for _, tc := range []struct{ as, want auth.User }{
		{auth.User{Name: "jane"}, auth.User{Groups: []string{auth.Authenticated}}},
		{auth.User{Name: "jane", Groups: []string{auth.Authenticated, "a"}}, auth.User{Groups: []string{auth.Authenticated, "a"}}},
		{auth.User{Name: "jane", Groups: []string{auth.Unauthenticated}}, auth.User{Groups: []string{auth.Unauthenticated}}},
		{auth.User{Name: auth.Anonymous}, auth.User{Groups: []string{auth.Unauthenticated}}},
	} {
		require.Equal(t, tc.want.Groups, withCommonGroup(tc.as))
	}
}
