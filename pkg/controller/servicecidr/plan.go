package servicecidr

import (
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

const (
	finalizer = "networking.k8s.io/service-cidr-finalizer"
	// allocator marks the addresses that services have; people may make others.
	allocator = "ipallocator.k8s.io"
	// hearing is how long all API servers may take to hear of a deletion.
	hearing = 10 * time.Second
)

// state is all that a plan depends on.
type state struct {
	cidr *networkingv1.ServiceCIDR
	// all ranges, and the addresses of services, are observed only if the range is being deleted.
	all       []*networkingv1.ServiceCIDR
	addresses []*networkingv1.IPAddress
}

func plan(s state, now time.Time) (p reconcile.Plan) {
	if s.cidr.DeletionTimestamp != nil {
		return s.planEnd(now)
	}
	if !slices.Contains(s.cidr.Finalizers, finalizer) {
		next := s.cidr.DeepCopy()
		next.Finalizers = append(next.Finalizers, finalizer)
		p.Update(s.cidr, next, "it could be deleted while services have addresses of it")
		return p // what is written is seen, and its status is planned then
	}
	s.say(&p, metav1.Condition{Status: metav1.ConditionTrue, Message: "Kubernetes Service CIDR is ready"}, now, "services may have addresses of it")
	return p
}

// planEnd lets a range go that holds no address alone.
func (s state) planEnd(now time.Time) (p reconcile.Plan) {
	if !slices.Contains(s.cidr.Finalizers, finalizer) {
		return nil
	}
	if ip := s.heldAlone(); ip != "" {
		s.say(&p, metav1.Condition{Status: metav1.ConditionFalse, Reason: networkingv1.ServiceCIDRReasonTerminating,
			Message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"},
			now, "a service has the address %s, which is in no other range", ip)
		return p
	}
	if left := hearing - now.Sub(s.cidr.DeletionTimestamp.Time); left > 0 {
		p.Wait(left, "an API server that has not heard of the deletion may still give an address")
		return p
	}
	next := s.cidr.DeepCopy()
	next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == finalizer })
	p.Update(s.cidr, next, "it is being deleted, and no service has an address of this range only")
	return p
}

// say sets the condition Ready, if it says anything new.
func (s state) say(p *reconcile.Plan, said metav1.Condition, now time.Time, reason string, args ...any) {
	said.Type, said.LastTransitionTime = networkingv1.ServiceCIDRConditionReady, metav1.NewTime(now)
	next := s.cidr.DeepCopy()
	conditions := &next.Status.Conditions
	switch i := slices.IndexFunc(*conditions, func(c metav1.Condition) bool { return c.Type == said.Type }); {
	case i < 0:
		*conditions = append(*conditions, said)
	case (*conditions)[i].Status != said.Status || (*conditions)[i].Reason != said.Reason || (*conditions)[i].Message != said.Message:
		(*conditions)[i] = said
	}
	p.UpdateStatus(s.cidr, next, reason, args...)
}

// heldAlone is the first address that the range has and no other one, "" if there is none.
func (s state) heldAlone() (first string) {
	for _, a := range s.addresses {
		ip, err := netip.ParseAddr(a.Name)
		if err != nil || first != "" && first < a.Name {
			continue
		}
		own := holding(s.cidr, ip)
		if len(own) > 0 && !slices.ContainsFunc(s.all, func(other *networkingv1.ServiceCIDR) bool { return s.rival(other, own[0], ip) }) {
			first = a.Name
		}
	}
	return first
}

// rival tells whether another range has the address of our prefix too, and will keep it. Of those that are being deleted it is
// one with a shorter prefix, or the same prefix and a greater name: so of all that go together the last one stays.
func (s state) rival(other *networkingv1.ServiceCIDR, own netip.Prefix, ip netip.Addr) bool {
	if other.Name == s.cidr.Name {
		return false
	}
	return slices.ContainsFunc(holding(other, ip), func(p netip.Prefix) bool {
		return other.DeletionTimestamp == nil || p.Bits() < own.Bits() || p.Bits() == own.Bits() && other.Name > s.cidr.Name
	})
}

// holding are the prefixes of a range that a service may have the address from. Neither a network's own nor an IPv4 broadcast address is.
func holding(cidr *networkingv1.ServiceCIDR, ip netip.Addr) (out []netip.Prefix) {
	for _, p := range prefixes(cidr) {
		if p.Contains(ip) && ip != p.Addr() && (ip.Is6() || p.Contains(ip.Next())) {
			out = append(out, p)
		}
	}
	return out
}

func overlap(a, b *networkingv1.ServiceCIDR) bool {
	return slices.ContainsFunc(prefixes(a), func(p netip.Prefix) bool {
		return slices.ContainsFunc(prefixes(b), p.Overlaps)
	})
}

func prefixes(cidr *networkingv1.ServiceCIDR) (out []netip.Prefix) {
	for _, text := range cidr.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}
