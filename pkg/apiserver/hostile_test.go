package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

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
