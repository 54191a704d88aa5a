package apiserver

import (
	"fmt"
	"net/http"
	"testing"

	"bonsai/pkg/apiserver/node"

	"github.com/stretchr/testify/require"
)

// echo is what is connected to: it says how it was asked.
type echo struct{}

func (echo) Connect(w http.ResponseWriter, r *http.Request, n node.Connection) error {
	fmt.Fprint(w, r.Method, " ", n.Resource, " ", n.Name, " ", n.Path)
	return nil
}

// Whatever is behind a proxy is asked by the method of the request, as long as upstream knows that; all else is not.
func TestProxiedMethods(t *testing.T) {
	c := start(t, func(cfg *Config) { cfg.Connect = echo{} })
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		resp, body := c.do(method+" /api/v1/nodes/n/proxy/a", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, method+" nodes n a", body)
	}
	resp, _ := c.do("TRACE /api/v1/nodes/n/proxy/a", "")
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	resp, _ = c.do("OPTIONS /api/v1/namespaces/default/pods/p/exec", "")
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}
