package apiserver

import (
	"crypto/tls"
	"fmt"
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

// A strategic patch that would take minutes to merge is refused before it is; one of a thousand elements is nothing special.
func TestLaboriousPatch(t *testing.T) {
	c := start(t)
	env := func(n int, prefix string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"name":"%s%d","value":"x"}`, prefix, i))
		}
		return `"containers":[{"name":"c","image":"i","env":[` + strings.Join(all, ",") + `]}]`
	}
	const jobs = "/apis/batch/v1/namespaces/default/cronjobs"
	job := func(containers string) string {
		return `{"metadata":{"name":"j"},"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never",` + containers + `}}}}}}`
	}
	resp, body := c.do("POST "+jobs, job(env(1000, "a")))
	require.Equal(t, http.StatusCreated, resp.StatusCode, "%.300s", body)
	patch := func(n int) (int, string) {
		resp, body := c.do("PATCH "+jobs+"/j", job(env(n, "b")), "Content-Type: application/strategic-merge-patch+json")
		return resp.StatusCode, body
	}
	code, body := patch(1000)
	require.Equal(t, http.StatusOK, code, "%.300s", body)
	require.Equal(t, 2000, strings.Count(body, `"value":"x"`))
	code, body = patch(60_000)
	require.Equal(t, http.StatusRequestEntityTooLarge, code, "%.300s", body)
	require.Contains(t, body, "The allowed maximum of comparisons of list elements in a strategic merge patch is 30000000, got 3720062002")
}

func TestLongTraceparentIsNotKept(t *testing.T) {
	c := start(t)
	resp, _ := c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`, "Traceparent: "+strings.Repeat("x", 1<<15))
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	for _, cause := range c.server.causes.all() {
		require.Less(t, len(cause.Traceparent), 200)
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
