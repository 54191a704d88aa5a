package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/machine"
)

// startNetwork lays the pod network as soon as the node has been given its range of addresses, and again if that
// changes. On a cluster of many machines a network add-on does this.
func (c *Config) startNetwork(ctx context.Context, m *machine.Machine, s *stack, n node) error {
	client, err := c.admin()
	if err != nil {
		return err
	}
	return c.Steps.Do("pod network", func() (string, error) {
		laid := make(chan string, 1)
		s.start("network", func(ctx context.Context) error { return c.keepNetwork(ctx, m, client, n.name, laid) })
		select {
		case cidr := <-laid:
			return cidr + " on " + c.Dir.Bridge(), nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
}

func (c *Config) keepNetwork(ctx context.Context, m *machine.Machine, client kubernetes.Interface, name string, laid chan<- string) error {
	current := ""
	_, err := watchNode(ctx, client, name, func(n *v1.Node) (bool, error) {
		if n.Spec.PodCIDR == "" || n.Spec.PodCIDR == current {
			return false, nil
		}
		pods, err := netip.ParsePrefix(n.Spec.PodCIDR)
		if err != nil {
			return false, fmt.Errorf("spec.podCIDR of node %s: %w", name, err)
		}
		cluster := netip.MustParsePrefix(parts.ClusterCIDR)
		if err := m.EnsureNetwork(ctx, machine.Network{PodCIDR: pods, ClusterCIDR: cluster}); err != nil {
			return false, fmt.Errorf("lay the pod network: %w", err)
		}
		current = n.Spec.PodCIDR
		select {
		case laid <- current:
		default:
		}
		return false, nil
	})
	return err
}

// readyPatience is how long a node may take to be Ready, on a slow machine. Waiting for longer would only hide what is wrong.
const readyPatience = 2 * time.Minute

// awaitReady returns when the node says that it is Ready.
func (c *Config) awaitReady(ctx context.Context, n node) error {
	return c.Steps.Do("node ready", func() (string, error) {
		client, err := c.admin()
		if err != nil {
			return "", err
		}
		limited, cancel := context.WithTimeout(ctx, readyPatience)
		defer cancel()
		said := "its kubelet has not said anything yet"
		_, err = watchNode(limited, client, n.name, func(seen *v1.Node) (ready bool, _ error) {
			ready, said = readiness(seen, said)
			return ready, nil
		})
		if limited.Err() != nil && ctx.Err() == nil {
			return "", fmt.Errorf("node %s is not Ready after %s: %s; see the logs in %s", n.name, readyPatience, said, c.Dir.Join("logs"))
		}
		return n.name, err
	})
}

// readiness is whether a node is Ready, and what it says about that, if anything.
func readiness(n *v1.Node, before string) (ready bool, said string) {
	for _, cond := range n.Status.Conditions {
		if cond.Type == v1.NodeReady {
			return cond.Status == v1.ConditionTrue, cond.Message
		}
	}
	return false, before
}

// watchNode calls until with every state of the node, until it says true; it returns the node as it was then.
func watchNode(ctx context.Context, client kubernetes.Interface, name string, until func(*v1.Node) (bool, error)) (*v1.Node, error) {
	lw := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", "", fields.OneTermEqualSelector(metav1.ObjectNameField, name))
	event, err := watchtools.UntilWithSync(ctx, lw, &v1.Node{}, nil, func(e watch.Event) (bool, error) {
		node, ok := e.Object.(*v1.Node)
		if !ok || e.Type == watch.Deleted {
			return false, nil
		}
		return until(node)
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("watch node %s: %w", name, err)
	}
	return event.Object.(*v1.Node), nil
}

// admin is the client of the cluster's owner, which is who lays the network.
func (c *Config) admin() (kubernetes.Interface, error) {
	return parts.Connect(c.Dir.Join("kubeconfig"), "bonsai")
}
