// Package controller is all controllers of the cluster in one component: the list of them, and Run, which starts each.
//
// A controller is a package below this one. All are built alike: Config and Run; a function that observes the state of one
// object and its surroundings from caches; a function plan that decides, without any I/O; and pkg/reconcile around them. None knows
// another: they meet in the objects. A deployment that rolls out is three controllers and a scheduler that have never
// heard of each other.
//
// A further controller is a further package and a line in the list.
package controller

import (
	"context"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"bonsai/pkg/controller/deployment"
	"bonsai/pkg/controller/endpoints"
	"bonsai/pkg/controller/endpointslice"
	"bonsai/pkg/controller/replicaset"
	"bonsai/pkg/reconcile"
)

// Config is what the controllers need to know.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Logger    *slog.Logger
	// History, if set, keeps the last plans of all controllers for people to read.
	History *reconcile.History
	// LeaderElect makes the process wait for the lease kube-controller-manager in kube-system, so that of several only one acts.
	LeaderElect bool
}

func (c Config) env() reconcile.Env {
	return reconcile.Env{Client: c.Client, Informers: c.Informers, Logger: c.Logger, History: c.History}
}

// controllers is the list, in the order of the walk from a workload down to the node, then the caretakers.
var controllers = []struct {
	name string
	run  func(context.Context, Config) error
}{
	{"deployment", func(ctx context.Context, c Config) error {
		return deployment.Run(ctx, deployment.Config{Env: c.env()})
	}},
	{"replicaset", func(ctx context.Context, c Config) error {
		return replicaset.Run(ctx, replicaset.Config{Env: c.env()})
	}},
	{"endpointslice", func(ctx context.Context, c Config) error {
		return endpointslice.Run(ctx, endpointslice.Config{Env: c.env()})
	}},
	{"endpoints", func(ctx context.Context, c Config) error {
		return endpoints.Run(ctx, endpoints.Config{Env: c.env()})
	}},
}

// Run runs all controllers until the context ends, or until one cannot go on.
func Run(ctx context.Context, c Config) error {
	if c.LeaderElect {
		return reconcile.Lead(ctx, c.Client, "kube-controller-manager", func(ctx context.Context) error { return runAll(ctx, c) })
	}
	return runAll(ctx, c)
}

func runAll(ctx context.Context, c Config) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, each := range controllers {
		all.Go(func() error {
			if err := each.run(ctx, c); err != nil {
				return fmt.Errorf("controller %s: %w", each.name, err)
			}
			return nil
		})
	}
	return all.Wait()
}
