package allocator

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Ranges that are added are used once the first is full, and for who asks for their addresses; no longer when they are taken away.
func TestMoreRanges(t *testing.T) {
	w := newWorld(t, "10.96.0.0/30", 30000, 30009)
	var more []netip.Prefix
	w.config.Ranges = func() []netip.Prefix { return more }
	ctx := context.Background()
	create := func(name, address string) (string, error) {
		s := service(name, ip(address))
		err := w.write(ctx, s)
		return s.Spec.ClusterIP, err
	}
	const elsewhere = "failed to allocate IP 10.98.0.1: the provided network does not match the current range"
	_, err := create("x", "10.98.0.1")
	require.ErrorContains(t, err, elsewhere)

	more = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/30"), netip.MustParsePrefix("10.97.0.0/30"), netip.MustParsePrefix("10.98.0.0/29")}
	got, err := create("own", "10.98.0.1")
	require.NoError(t, err)
	require.Equal(t, "10.98.0.1", got)
	_, err = create("again", "10.98.0.1")
	require.ErrorContains(t, err, "provided IP is already allocated")
	for _, edge := range []string{"10.98.0.0", "10.98.0.7"} {
		_, err = create("edge", edge)
		require.ErrorContains(t, err, "the provided network does not match the current range")
	}
	ips := map[string]int{}
	for i := range 9 {
		got, err := create(fmt.Sprint(i), "")
		require.NoError(t, err)
		ips[netip.MustParsePrefix(got+"/16").Masked().Addr().String()]++
		require.Equal(t, i >= 2, ips["10.97.0.0"] > 0, "the first range comes first")
	}
	require.Equal(t, map[string]int{"10.96.0.0": 2, "10.97.0.0": 2, "10.98.0.0": 5}, ips)
	_, err = create("last", "")
	require.EqualError(t, err, "Internal error occurred: failed to allocate a serviceIP: range is full")
	w.requireExact(t)

	more = nil
	own := service("own", ip("10.98.0.1"))
	own.Labels = map[string]string{"kept": "yes"}
	require.NoError(t, w.write(ctx, own), "who has an address keeps it")
	require.NoError(t, w.remove(ctx, key(own)))
	w.requireExact(t)
	_, err = create("x", "10.98.0.1")
	require.ErrorContains(t, err, elsewhere)
}

func TestUsableRanges(t *testing.T) {
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/30")},
		usable([]string{"10.1.0.0/16", "fd00::/112", "10.2.0.0/30", "10.3.0.0/31", "10.4.0.0/32", "none"}))
	said := func(kind string, status metav1.ConditionStatus) *networkingv1.ServiceCIDR {
		return &networkingv1.ServiceCIDR{Status: networkingv1.ServiceCIDRStatus{Conditions: []metav1.Condition{{Type: kind, Status: status}}}}
	}
	require.True(t, ready(&networkingv1.ServiceCIDR{}))
	require.True(t, ready(said("Ready", "True")))
	require.True(t, ready(said("Other", "False")))
	require.False(t, ready(said("Ready", "False")))
	require.False(t, ready(said("Ready", "Unknown")))
}
