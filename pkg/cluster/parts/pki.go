package parts

import (
	"fmt"
	"net"
	"time"

	"bonsai/pkg/pki"
)

// PKIOptions are those of a one-node cluster whose API server listens on port. Clients on this machine use the loopback
// address, which stays when the machine's address changes.
func PKIOptions(nodeName string, nodeIP net.IP, port int, now time.Time) pki.Options {
	return pki.Options{
		Server:        fmt.Sprintf("https://127.0.0.1:%d", port),
		NodeName:      nodeName,
		NodeIPs:       []net.IP{nodeIP},
		ServiceIP:     ServiceIP,
		ClusterDomain: ClusterDomain,
		Now:           now,
	}
}
