package servicecidr

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

// TestPlan reads the range that is planned for, and after it the other ranges and the addresses.
func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		s := state{all: plantest.Of[*networkingv1.ServiceCIDR](o), addresses: plantest.Of[*networkingv1.IPAddress](o)}
		s.cidr = s.all[0]
		return plan(s, plantest.Now)
	})
}

func aRange(name string, cidrs ...string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{finalizer}}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
}

func leaving(c *networkingv1.ServiceCIDR) *networkingv1.ServiceCIDR {
	c.DeletionTimestamp = &metav1.Time{Time: plantest.Now.Add(-time.Minute)}
	return c
}

func anAddress(ip string) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: ip, Labels: map[string]string{networkingv1.LabelManagedBy: allocator}}}
}

// However many ranges are deleted, in whatever order they are let go: an address that was in one is in one.
func TestNoAddressIsLeftBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s state
		for i := range rapid.IntRange(1, 6).Draw(t, "ranges") {
			cidr := rapid.SampledFrom([]string{"10.0.0.0/28", "10.0.0.0/29", "10.0.0.8/29", "10.0.0.0/30"}).Draw(t, "cidr")
			c := aRange(fmt.Sprint("r", i), cidr)
			if rapid.IntRange(0, 3).Draw(t, "stays") > 0 {
				leaving(c)
			}
			s.all = append(s.all, c)
		}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, 15), 1, 3).Draw(t, "addresses") {
			if a := anAddress(fmt.Sprintf("10.0.0.%d", i)); inOne(s.all, a) {
				s.addresses = append(s.addresses, a)
			}
		}
		// Each is judged by what there was at the beginning, as by a cache that lags.
		left := slices.DeleteFunc(slices.Clone(s.all), func(c *networkingv1.ServiceCIDR) bool {
			p := plan(state{c, s.all, s.addresses}, plantest.Now)
			return c.DeletionTimestamp != nil && len(p) == 1 && p[0].Verb == reconcile.Update
		})
		for _, a := range s.addresses {
			if !inOne(left, a) {
				t.Fatalf("%s is in no range", a.Name)
			}
		}
	})
}

func inOne(ranges []*networkingv1.ServiceCIDR, a *networkingv1.IPAddress) bool {
	return slices.ContainsFunc(ranges, func(c *networkingv1.ServiceCIDR) bool { return len(holding(c, netip.MustParseAddr(a.Name))) > 0 })
}

func lister(ranges []*networkingv1.ServiceCIDR) networkinglisters.ServiceCIDRLister {
	i := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	for _, c := range ranges {
		_ = i.Add(c)
	}
	return networkinglisters.NewServiceCIDRLister(i)
}

// What wakes a range that is being deleted: what it may hand its addresses over to, and the addresses.
func TestWakes(t *testing.T) {
	o := observer{ranges: lister([]*networkingv1.ServiceCIDR{aRange("stays", "10.0.0.0/24"), leaving(aRange("goes", "10.0.0.0/28", "fd00::/112")), leaving(aRange("far", "10.9.0.0/24"))})}
	names := func(keys []reconcile.Key) (out []string) {
		for _, k := range keys {
			out = append(out, k.Name)
		}
		return out
	}
	require.Equal(t, []string{"new", "goes"}, names(o.touchedByRange(aRange("new", "10.0.0.0/16"))))
	require.Equal(t, []string{"goes"}, names(o.touchedByRange(aRange("goes", "10.0.0.0/28"))))
	require.Equal(t, []string{"new"}, names(o.touchedByRange(aRange("new", "10.1.0.0/16"))))
	for ip, want := range map[string][]string{
		"10.0.0.1": {"goes"}, "10.0.0.14": {"goes"}, "fd00::1": {"goes"}, "fd00::ffff": {"goes"}, "10.9.0.7": {"far"},
		"10.0.0.0": nil, "10.0.0.15": nil, "10.0.0.16": nil, "fd00::": nil, "fd00::1:0": nil,
	} {
		require.Equal(t, want, names(o.touchedByAddress(anAddress(ip))), ip)
	}
	require.Empty(t, o.touchedByAddress(&networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.0.0.1"}}), "of somebody else")
}
