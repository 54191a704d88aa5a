package parts

import (
	"fmt"
	"net"
	"time"

	"bonsai/pkg/pki"
)

// PKIOptions are those of a one-node cluster. Clients on this machine use the loopback address, which stays when the
// machine's address changes.
func PKIOptions(nodeName string, nodeIP net.IP, now time.Time) pki.Options {
	return pki.Options{
		Server:        fmt.Sprintf("https://127.0.0.1:%d", APIPort),
		NodeName:      nodeName,
		NodeIPs:       []net.IP{nodeIP},
		ServiceIP:     ServiceIP,
		ClusterDomain: ClusterDomain,
		Now:           now,
	}
}
