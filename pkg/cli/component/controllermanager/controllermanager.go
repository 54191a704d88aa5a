// Package controllermanager is the command of the controllers alone.
package controllermanager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/controller"
)

// Command returns the command.
func Command() *cobra.Command {
	c := controller.Config{}
	var rootCA string
	cmd := component.Command("controller-manager", "Run the controllers alone", func(ctx context.Context, o *component.Options) error {
		return run(ctx, o, c, rootCA)
	})
	cmd.Flags().StringVar(&rootCA, "root-ca-file", "", "certificate of the authority, which pods are given (default DATA-DIR/pki/ca.crt)")
	cmd.Flags().BoolVar(&c.LeaderElect, "leader-elect", false, "act only while holding the lease, so that of several only one acts")
	return cmd
}

func run(ctx context.Context, o *component.Options, c controller.Config, rootCA string) (err error) {
	if rootCA == "" {
		rootCA = filepath.Join(o.DataDir, "pki", "ca.crt")
	}
	if c.RootCA, err = os.ReadFile(rootCA); err != nil {
		return fmt.Errorf("read the authority's certificate: %w", err)
	}
	if c.Client, err = parts.Connect(o.Kubeconfig, o.Name); err != nil {
		return err
	}
	if c.Metadata, err = parts.Metadata(o.Kubeconfig, o.Name); err != nil {
		return err
	}
	c.ClusterCIDR = parts.ClusterCIDR
	c.Informers, c.Logger = parts.Informers(c.Client), o.Logger
	return controller.Run(ctx, c)
}
