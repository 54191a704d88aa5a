// Package kubelet says where in the data directory a kubelet keeps what it has.
package kubelet

import (
	"net"
	"path/filepath"
	"strconv"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/kubelet"
)

// Paths fills in what of a kubelet's configuration follows from the data directory.
func Paths(c *kubelet.Config, dataDir string) {
	in := func(elem ...string) string { return filepath.Join(append([]string{dataDir}, elem...)...) }
	c.RootDir, c.LogsDir = in("kubelet"), in("logs")
	c.ServingCert, c.ServingKey, c.ClientCA = in("pki", "kubelet-server.crt"), in("pki", "kubelet-server.key"), in("pki", "ca.crt")
	c.ServerAddr = net.JoinHostPort("", strconv.Itoa(parts.KubeletPort))
	c.ClusterDomain = parts.ClusterDomain
}
