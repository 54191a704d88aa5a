// Package servicecidr keeps the ranges that services have their addresses from. A ServiceCIDR gets a finalizer and is said to be
// ready; one that is deleted is used for no new address at once, by the API server itself, and stays until no service is left without
// a range:
//
//	observe  the range; if it is being deleted, all ranges and all addresses that services have
//	plan     finalizer and Ready=True, or Ready=False while an address is of this range only, or the end of the finalizer
//
// Which addresses are in use is what the IPAddress objects say, which the API server writes together with the services. Every range
// that contains an address holds it, so a range can be replaced by a wider one while its services live.
//
// An API server that has not yet heard of the deletion may give an address out of the range a moment longer. Therefore the
// finalizer stays for some seconds, in which the address becomes known.
//
// Upstream lets two equal ranges that are deleted at the same time each rely on the other. Here one of them stays (rival, in plan.go).
package servicecidr

import (
	"context"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	networkinglisters "k8s.io/client-go/listers/networking/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	ranges, addresses := c.Informers.Networking().V1().ServiceCIDRs(), c.Informers.Networking().V1().IPAddresses()
	o := observer{ranges.Lister(), addresses.Lister()}
	loop := &reconcile.Loop[state]{
		Env:  c.Env,
		Name: "service-cidr-controller",
		Kinds: []reconcile.Resource{
			reconcile.For(ranges.Informer(), func(string) reconcile.Client[*networkingv1.ServiceCIDR] {
				return c.Client.NetworkingV1().ServiceCIDRs()
			}),
		},
		Sources: []reconcile.Source{
			{Informer: ranges.Informer(), Keys: o.touchedByRange},
			{Informer: addresses.Informer(), Keys: o.touchedByAddress, Changed: never},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// never is for a source of which only appearing and going matter.
func never(_, _ reconcile.Object) bool { return false }

type observer struct {
	ranges    networkinglisters.ServiceCIDRLister
	addresses networkinglisters.IPAddressLister
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.cidr, err = o.ranges.Get(key.Name); err != nil {
		return s, false, nil
	}
	if s.cidr.DeletionTimestamp == nil {
		return s, true, nil
	}
	if s.all, err = o.ranges.List(labels.Everything()); err != nil {
		return s, true, err
	}
	s.addresses, err = o.addresses.List(labels.SelectorFromSet(labels.Set{networkingv1.LabelManagedBy: allocator}))
	return s, true, err
}

// touchedByRange are a range itself, and those being deleted that it may take addresses over from.
func (o observer) touchedByRange(changed reconcile.Object) []reconcile.Key {
	keys := reconcile.Self(changed)
	cidr := changed.(*networkingv1.ServiceCIDR)
	return append(keys, o.leaving(func(other *networkingv1.ServiceCIDR) bool { return other.Name != cidr.Name && overlap(other, cidr) })...)
}

// touchedByAddress are the ranges being deleted that an address is of. To all others it does not matter, and services come and go often.
func (o observer) touchedByAddress(changed reconcile.Object) []reconcile.Key {
	ip, err := netip.ParseAddr(changed.GetName())
	if err != nil || changed.GetLabels()[networkingv1.LabelManagedBy] != allocator {
		return nil
	}
	return o.leaving(func(cidr *networkingv1.ServiceCIDR) bool { return len(holding(cidr, ip)) > 0 })
}

// leaving are the ranges being deleted for which a condition holds.
func (o observer) leaving(which func(*networkingv1.ServiceCIDR) bool) (keys []reconcile.Key) {
	all, err := o.ranges.List(labels.Everything())
	if err != nil {
		return nil
	}
	for _, cidr := range all {
		if cidr.DeletionTimestamp != nil && which(cidr) {
			keys = append(keys, reconcile.KeyOf(cidr))
		}
	}
	return keys
}
