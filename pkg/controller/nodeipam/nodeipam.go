// Package nodeipam gives each node its range of pod addresses: the first free part of the cluster's range, written to the node's
// spec.podCIDR, where the network setup of the node reads it. A range belongs to its node until the node is gone.
//
// Two nodes must never get the same range. So there is one key for all nodes together: one plan at a time sees all
// nodes and serves all that wait, and the next waits until the cache shows what this one wrote. Upstream keeps a bitmap of
// what it has given away, which has to be kept in step with the nodes; here the nodes themselves are the record.
package nodeipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
	// ClusterCIDR is the range of all pods, "10.244.0.0/16"; NodeCIDRMaskSize the prefix length of a node's part, 24.
	ClusterCIDR      string
	NodeCIDRMaskSize int
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	all, err := netip.ParsePrefix(c.ClusterCIDR)
	if err != nil || c.NodeCIDRMaskSize < all.Bits() || c.NodeCIDRMaskSize > all.Addr().BitLen() {
		return fmt.Errorf("no nodes' ranges of /%d can be cut from the cluster CIDR %q; give one like 10.244.0.0/16 and a length like 24",
			c.NodeCIDRMaskSize, c.ClusterCIDR)
	}
	nodes := c.Informers.Core().V1().Nodes()
	o := observer{nodes.Lister(), all.Masked(), c.NodeCIDRMaskSize}
	loop := &reconcile.Loop[state]{
		Env:   c.Env,
		Name:  "cidrAllocator",
		Queue: "cidrallocator_node",
		Kinds: []reconcile.Resource{
			reconcile.For(nodes.Informer(), func(string) reconcile.Client[*corev1.Node] { return c.Client.CoreV1().Nodes() }),
		},
		Sources: []reconcile.Source{{Informer: nodes.Informer(), Keys: everyNode, Changed: rangeChanged}},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// everyNode is the one key.
func everyNode(reconcile.Object) []reconcile.Key { return []reconcile.Key{{Name: "nodes"}} }

func rangeChanged(old, next reconcile.Object) bool {
	return old.(*corev1.Node).Spec.PodCIDR != next.(*corev1.Node).Spec.PodCIDR
}

type observer struct {
	nodes corelisters.NodeLister
	all   netip.Prefix
	bits  int
}

// state is all that a plan depends on.
type state struct {
	nodes []*corev1.Node
	// all is the cluster's range, bits the prefix length of a node's.
	all  netip.Prefix
	bits int
}

func (o observer) observe(context.Context, reconcile.Key, *reconcile.Failure) (state, bool, error) {
	nodes, err := o.nodes.List(labels.Everything())
	return state{nodes, o.all, o.bits}, true, err
}

// plan gives each node without a range the first one that overlaps with none that is taken.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	slices.SortFunc(s.nodes, func(a, b *corev1.Node) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	free := netip.PrefixFrom(s.all.Addr(), s.bits)
	taken := rangesOf(s.nodes)
	for _, n := range s.nodes {
		if n.Spec.PodCIDR != "" || n.DeletionTimestamp != nil {
			continue
		}
		if free = firstFree(free, s.all, taken); !free.IsValid() {
			p.Tell(reconcile.Note{About: n, Type: corev1.EventTypeNormal, Reason: "CIDRNotAvailable",
				Message: fmt.Sprintf("Node %s status is now: CIDRNotAvailable", n.Name)}, "all of %s is taken", s.all)
			return p
		}
		p.Patch(n, podCIDR(free), "%s is the first free part of %s", free, s.all)
		free = following(free)
	}
	return p
}

func rangesOf(nodes []*corev1.Node) (taken []netip.Prefix) {
	for _, n := range nodes {
		for _, c := range append([]string{n.Spec.PodCIDR}, n.Spec.PodCIDRs...) {
			if r, err := netip.ParsePrefix(c); err == nil {
				taken = append(taken, r)
			}
		}
	}
	return taken
}

// firstFree is the first range at or after r that is free, not valid if there is none.
func firstFree(r, all netip.Prefix, taken []netip.Prefix) netip.Prefix {
	for r.IsValid() && all.Contains(r.Addr()) {
		if !slices.ContainsFunc(taken, r.Overlaps) {
			return r
		}
		r = following(r)
	}
	return netip.Prefix{}
}

// following is the range of the same size after r, not valid after the last.
func following(r netip.Prefix) netip.Prefix {
	b := r.Addr().AsSlice()
	for i, carry := (r.Bits()-1)/8, 1<<(7-(r.Bits()-1)%8); i >= 0 && carry > 0; i-- {
		sum := int(b[i]) + carry
		b[i], carry = byte(sum), sum>>8
		if i == 0 && carry > 0 {
			return netip.Prefix{}
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, r.Bits())
}

func podCIDR(r netip.Prefix) []byte {
	body, _ := json.Marshal(map[string]any{"spec": map[string]any{"podCIDR": r.String(), "podCIDRs": []string{r.String()}}})
	return body
}
