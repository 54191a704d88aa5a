package apiserver

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"bonsai/pkg/cluster/parts/apiserver"
)

// The kubeconfigs that are written name where the server is, and its certificate is for there.
func TestCertificatesAreForWhereItListens(t *testing.T) {
	node := net.IPv4(192, 0, 2, 1)
	for bind, want := range map[string]string{
		"":           "https://127.0.0.1:7000",
		"0.0.0.0":    "https://127.0.0.1:7000",
		"::":         "https://127.0.0.1:7000",
		"127.0.0.1":  "https://127.0.0.1:7000",
		"127.0.0.2":  "https://127.0.0.2:7000",
		"::1":        "https://[::1]:7000",
		"192.0.2.77": "https://192.0.2.77:7000",
	} {
		p := certificates("node", apiserver.Options{AdvertiseIP: node, BindAddress: bind, Port: 7000})
		require.Equal(t, want, p.Server, bind)
		require.Contains(t, p.NodeIPs, node)
		if want != "https://127.0.0.1:7000" {
			require.Contains(t, p.NodeIPs, net.ParseIP(bind))
		}
	}
}
