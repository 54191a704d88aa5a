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
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"bonsai/pkg/controller/admissionpolicystatus"
	"bonsai/pkg/controller/clusterroleaggregation"
	"bonsai/pkg/controller/deployment"
	"bonsai/pkg/controller/endpoints"
	"bonsai/pkg/controller/endpointslice"
	"bonsai/pkg/controller/garbagecollector"
	"bonsai/pkg/controller/namespace"
	"bonsai/pkg/controller/nodeipam"
	"bonsai/pkg/controller/nodelifecycle"
	"bonsai/pkg/controller/podgc"
	"bonsai/pkg/controller/replicaset"
	"bonsai/pkg/controller/resourcequota"
	"bonsai/pkg/controller/rootca"
	"bonsai/pkg/controller/serviceaccount"
	"bonsai/pkg/controller/storageprotection"
	"bonsai/pkg/controller/tainteviction"
	"bonsai/pkg/reconcile"
)

// Config is what the controllers need to know.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	// Metadata reads and writes the metadata of objects of any kind; the garbage collector and the emptying of namespaces need it.
	Metadata metadata.Interface
	Logger   *slog.Logger
	// History, if set, keeps the last plans of all controllers for people to read.
	History *reconcile.History
	// ClusterCIDR is the range of all pods, 10.244.0.0/16 if empty; NodeCIDRMaskSize the prefix length of a node's part, 24 if 0.
	ClusterCIDR      string
	NodeCIDRMaskSize int
	// RootCA is the certificate of the cluster's CA in PEM, for pods to know the API server by.
	RootCA []byte
	// LeaderElect makes the process wait for the lease kube-controller-manager in kube-system, so that of several only one acts.
	LeaderElect bool
}

func (c Config) env() reconcile.Env {
	return reconcile.Env{Client: c.Client, Informers: c.Informers, Logger: c.Logger, History: c.History}
}

// watched are the kinds that the controllers below watch anyway.
var watched = []schema.GroupVersionResource{
	appsv1.SchemeGroupVersion.WithResource("deployments"),
	appsv1.SchemeGroupVersion.WithResource("replicasets"),
	corev1.SchemeGroupVersion.WithResource("pods"),
	corev1.SchemeGroupVersion.WithResource("services"),
	corev1.SchemeGroupVersion.WithResource("endpoints"),
	corev1.SchemeGroupVersion.WithResource("nodes"),
	corev1.SchemeGroupVersion.WithResource("namespaces"),
	corev1.SchemeGroupVersion.WithResource("serviceaccounts"),
	corev1.SchemeGroupVersion.WithResource("resourcequotas"),
	corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"),
	corev1.SchemeGroupVersion.WithResource("persistentvolumes"),
	storagev1.SchemeGroupVersion.WithResource("volumeattributesclasses"),
	discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
	coordinationv1.SchemeGroupVersion.WithResource("leases"),
	admissionv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies"),
	rbacv1.SchemeGroupVersion.WithResource("clusterroles"),
}

// controllers is the list, in the order of the walk from a workload down to the node, then the caretakers.
var controllers = []struct {
	name string
	run  func(context.Context, Config) error
}{
	// StatefulSets, DaemonSets, Jobs and what else makes pods come here.
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
	{"nodeipam", func(ctx context.Context, c Config) error {
		return nodeipam.Run(ctx, nodeipam.Config{Env: c.env(), ClusterCIDR: c.ClusterCIDR, NodeCIDRMaskSize: c.NodeCIDRMaskSize})
	}},
	{"nodelifecycle", func(ctx context.Context, c Config) error {
		return nodelifecycle.Run(ctx, nodelifecycle.Config{Env: c.env()})
	}},
	{"tainteviction", func(ctx context.Context, c Config) error {
		return tainteviction.Run(ctx, tainteviction.Config{Env: c.env()})
	}},
	{"podgc", func(ctx context.Context, c Config) error {
		return podgc.Run(ctx, podgc.Config{Env: c.env()})
	}},
	{"serviceaccount", func(ctx context.Context, c Config) error {
		return serviceaccount.Run(ctx, serviceaccount.Config{Env: c.env()})
	}},
	{"rootca", func(ctx context.Context, c Config) error {
		return rootca.Run(ctx, rootca.Config{Env: c.env(), RootCA: c.RootCA})
	}},
	{"clusterroleaggregation", func(ctx context.Context, c Config) error {
		return clusterroleaggregation.Run(ctx, clusterroleaggregation.Config{Env: c.env()})
	}},
	{"resourcequota", func(ctx context.Context, c Config) error {
		return resourcequota.Run(ctx, resourcequota.Config{Env: c.env(), Metadata: c.Metadata})
	}},
	{"storageprotection", func(ctx context.Context, c Config) error {
		return storageprotection.Run(ctx, storageprotection.Config{Env: c.env()})
	}},
	{"namespace", func(ctx context.Context, c Config) error {
		return namespace.Run(ctx, namespace.Config{Env: c.env(), Metadata: c.Metadata})
	}},
	{"admissionpolicystatus", func(ctx context.Context, c Config) error {
		return admissionpolicystatus.Run(ctx, admissionpolicystatus.Config{Env: c.env()})
	}},
	{"garbagecollector", func(ctx context.Context, c Config) error {
		return garbagecollector.Run(ctx, garbagecollector.Config{Env: c.env(), Metadata: c.Metadata, Watched: watched})
	}},
}

// Run runs all controllers until the context ends, or until one cannot go on.
func Run(ctx context.Context, c Config) error {
	if c.Metadata == nil {
		return errors.New("controllers: Config.Metadata is missing; make it of the same rest.Config as Client, with metadata.NewForConfig")
	}
	c.ClusterCIDR, c.NodeCIDRMaskSize = cmp.Or(c.ClusterCIDR, "10.244.0.0/16"), cmp.Or(c.NodeCIDRMaskSize, 24)
	if c.LeaderElect {
		return reconcile.Lead(ctx, c.Client, "kube-controller-manager", func(ctx context.Context) error { return runAll(ctx, c) })
	}
	return runAll(ctx, c)
}

// runAll ends with the first that fails. What a controller meets with after the context has ended is no failure of its: informers
// that have stopped take no handlers, for one.
func runAll(ctx context.Context, c Config) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, each := range controllers {
		all.Go(func() error {
			if err := each.run(ctx, c); err != nil && ctx.Err() == nil {
				return fmt.Errorf("controller %s: %w", each.name, err)
			}
			return nil
		})
	}
	return all.Wait()
}
