// Package scheduler is the command of the scheduler alone.
package scheduler

import (
	"context"

	"github.com/spf13/cobra"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/scheduler"
)

// Command returns the command.
func Command() *cobra.Command {
	return component.Command("scheduler", "Run the scheduler alone", run)
}

func run(ctx context.Context, o *component.Options) error {
	client, err := parts.Connect(o.Kubeconfig, o.Name)
	if err != nil {
		return err
	}
	return scheduler.Run(ctx, scheduler.Config{Client: client, Informers: parts.Informers(client), Logger: o.Logger})
}
