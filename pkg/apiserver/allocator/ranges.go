package allocator

import (
	"net/netip"
	"slices"

	"bonsai/pkg/apiserver/live"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Ranges follows the ServiceCIDRs, and returns the ranges of IPv4 of those that services may have addresses from, in the order of
// their names: which are ready, as all are of which nobody says otherwise, and stay.
func Ranges(src live.Source) func() []netip.Prefix {
	all := live.Follow[*networkingv1.ServiceCIDR](src, schema.GroupResource{Group: networkingv1.GroupName, Resource: "servicecidrs"})
	return live.Derive(func() []netip.Prefix {
		var ranges []netip.Prefix
		for _, c := range all.All() {
			if c.DeletionTimestamp == nil && ready(c) {
				ranges = append(ranges, usable(c.Spec.CIDRs)...)
			}
		}
		return ranges
	}, all)
}

func ready(c *networkingv1.ServiceCIDR) bool {
	said := meta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	return said == nil || said.Status == "True"
}

// usable are the ranges that have addresses for services of this cluster's one family.
func usable(cidrs []string) []netip.Prefix {
	var ranges []netip.Prefix
	for _, text := range cidrs {
		if cidr, err := netip.ParsePrefix(text); err == nil && hasAddresses(cidr) {
			ranges = append(ranges, cidr.Masked())
		}
	}
	return ranges
}

// hasAddresses: neither the network's own address nor the broadcast address is for a service.
func hasAddresses(cidr netip.Prefix) bool {
	return cidr.IsValid() && cidr.Addr().Is4() && cidr.Bits() <= 30
}

// ipRange is the pool of one range of addresses.
type ipRange struct {
	pool
	cidr netip.Prefix
}

func newIPRange(s Store, cidr netip.Prefix) ipRange {
	size := 1<<(32-cidr.Bits()) - 2
	return ipRange{cidr: cidr, pool: pool{store: s, prefix: ipPrefix, size: size, static: band(size, 16, 256, 16),
		name: func(i int) string { return addr(cidr, i+1).String() }}}
}

// has tells whether a service may have the address from this range.
func (r ipRange) has(ip netip.Addr) bool {
	return r.cidr.Contains(ip) && ip != r.cidr.Addr() && ip != addr(r.cidr, r.size+1)
}

// ranges are those that addresses come from now, the cluster's own first.
func (a *Allocator) ranges() []ipRange {
	if a.config.Ranges == nil {
		return []ipRange{a.ips}
	}
	list := []ipRange{a.ips}
	for _, cidr := range a.config.Ranges() {
		if !slices.ContainsFunc(list, func(r ipRange) bool { return r.cidr == cidr }) {
			list = append(list, newIPRange(a.config.Store, cidr))
		}
	}
	return list
}
