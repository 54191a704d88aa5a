package parts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"bonsai/pkg/pki"
	"bonsai/pkg/version"
)

// Components are known to the API server by upstream's names, others by their own.
func TestUserAgents(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, []byte("apiVersion: v1\nkind: Config\n"+
		"clusters: [{name: c, cluster: {server: https://127.0.0.1:6443}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"), 0o600))
	for name, agent := range map[string]string{pki.ControllerManager: "kube-controller-manager", pki.Scheduler: "kube-scheduler",
		pki.Kubelet: "kubelet", pki.Proxy: "kube-proxy", "bonsai": "bonsai"} {
		c, err := ClientConfig(kubeconfig, name)
		require.NoError(t, err)
		require.Equal(t, agent+"/"+version.Kubernetes, c.UserAgent)
	}
}
