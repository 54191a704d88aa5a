// Package kubelet is the command of the kubelet alone, beside a container runtime that runs already.
package kubelet

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cluster/parts"
	kubeletpart "bonsai/pkg/cluster/parts/kubelet"
	"bonsai/pkg/kubelet"
)

// Command returns the command.
func Command() *cobra.Command {
	c := kubelet.Config{}
	cmd := component.Command("kubelet", "Run the kubelet alone", func(ctx context.Context, o *component.Options) error {
		return run(ctx, o, c)
	})
	f := cmd.Flags()
	f.StringVar(&c.NodeName, "hostname-override", "", "name of this node (default the host's name)")
	f.StringSliceVar(&c.NodeIPs, "node-ip", nil, "addresses of this node")
	f.StringVar(&c.RuntimeEndpoint, "container-runtime-endpoint", "", "socket of the container runtime (CRI)")
	f.StringVar(&c.CgroupRoot, "cgroup-root", "/", "cgroup below which pods get theirs")
	return cmd
}

func run(ctx context.Context, o *component.Options, c kubelet.Config) (err error) {
	if c.RuntimeEndpoint == "" {
		return errors.New("--container-runtime-endpoint is missing: which runtime is to run the pods?")
	}
	if len(c.NodeIPs) == 0 {
		return errors.New("--node-ip is missing: by which address is this node reached?")
	}
	if c.NodeName == "" {
		if c.NodeName, err = parts.NodeName(); err != nil {
			return err
		}
	}
	if c.Client, err = parts.Connect(o.Kubeconfig, o.Name); err != nil {
		return err
	}
	c.Informers = parts.InformersOf(c.Client, c.NodeName)
	c.Logger = o.Logger
	kubeletpart.Paths(&c, o.DataDir)
	return kubelet.Run(ctx, c)
}
