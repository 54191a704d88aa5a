// Package proxy is the command of the service proxy alone.
package proxy

import (
	"context"

	"github.com/spf13/cobra"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/proxy"
)

// Command returns the command.
func Command() *cobra.Command {
	c := proxy.Config{}
	cmd := component.Command("proxy", "Run the service proxy alone", func(ctx context.Context, o *component.Options) error {
		return run(ctx, o, c)
	})
	cmd.Flags().StringVar(&c.NodeName, "hostname-override", "", "name of this node (default the host's name)")
	cmd.Flags().StringVar(&c.ClusterCIDR, "cluster-cidr", parts.ClusterCIDR, "range of all pods' addresses")
	return cmd
}

func run(ctx context.Context, o *component.Options, c proxy.Config) (err error) {
	if c.NodeName == "" {
		if c.NodeName, err = parts.NodeName(); err != nil {
			return err
		}
	}
	if c.Client, err = parts.Connect(o.Kubeconfig, o.Name); err != nil {
		return err
	}
	c.Informers, c.Logger = parts.Informers(c.Client), o.Logger
	return proxy.Run(ctx, c)
}
