// Package apiserver is the command of the API server alone, with etcd inside unless another is named.
package apiserver

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/cluster/parts/apiserver"
	"bonsai/pkg/pki"
)

// Command returns the command.
func Command() *cobra.Command {
	o := apiserver.Options{}
	var nodeName string
	cmd := component.Command("apiserver", "Run the API server alone", func(ctx context.Context, c *component.Options) error {
		return run(ctx, c, o, nodeName)
	})
	f := cmd.Flags()
	f.StringSliceVar(&o.EtcdServers, "etcd-servers", nil, "use the etcd at these URLs instead of one inside")
	f.StringVar(&o.BindAddress, "bind-address", "", "address to listen on (default all)")
	f.IntVar(&o.Port, "secure-port", parts.APIPort, "port to listen on")
	f.IPVar(&o.AdvertiseIP, "advertise-address", nil, "address by which pods reach the server (default that of the interface with the default route)")
	settingFlags(f, &o.Settings)
	f.StringVar(&nodeName, "hostname-override", "", "name of this machine's node (default the host's name)")
	return cmd
}

func run(ctx context.Context, c *component.Options, o apiserver.Options, nodeName string) (err error) {
	if nodeName == "" {
		if nodeName, err = parts.NodeName(); err != nil {
			return err
		}
	}
	if o.AdvertiseIP == nil {
		if o.AdvertiseIP, err = utilnet.ChooseHostInterface(); err != nil {
			return fmt.Errorf("find this machine's address: %w; name it by --advertise-address", err)
		}
	}
	o.DataDir, o.Logger = c.DataDir, c.Logger
	if o.PKI, err = pki.Ensure(c.DataDir, certificates(nodeName, o)); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return apiserver.Run(ctx, o)
}

// certificates are for where this server listens: a bind address that is one interface's alone is what the kubeconfigs name.
func certificates(nodeName string, o apiserver.Options) pki.Options {
	p := parts.PKIOptions(nodeName, o.AdvertiseIP, o.Port, time.Now())
	bound := net.ParseIP(o.BindAddress)
	if bound == nil || bound.IsUnspecified() || bound.Equal(net.IPv4(127, 0, 0, 1)) {
		return p
	}
	p.Server = "https://" + net.JoinHostPort(o.BindAddress, strconv.Itoa(o.Port))
	p.NodeIPs = append(p.NodeIPs, bound)
	return p
}
