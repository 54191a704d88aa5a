package nodeipam

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		return plan(state{plantest.Of[*corev1.Node](o), netip.MustParsePrefix("10.244.0.0/22"), 24}, plantest.Now)
	})
}

// following counts as numbers do, whatever the size of the ranges.
func TestFollowing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(1, 32).Draw(t, "bits")
		n := rapid.Uint64Range(0, 1<<bits-1).Draw(t, "n")
		at := func(n uint64) netip.Prefix {
			v := uint32(n << (32 - bits))
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), bits)
		}
		want := netip.Prefix{}
		if n+1 < 1<<bits {
			want = at(n + 1)
		}
		if got := following(at(n)); got != want {
			t.Fatalf("after %s comes %s, want %s", at(n), got, want)
		}
	})
}

// Each node gets a range, and no two the same, until there are no more.
func TestNoneTwice(t *testing.T) {
	s := state{all: netip.MustParsePrefix("10.244.0.0/16"), bits: 24}
	for i := range 300 {
		n := &corev1.Node{}
		n.Name = fmt.Sprintf("n%03d", i)
		if i%7 == 3 {
			n.Spec.PodCIDR = fmt.Sprintf("10.244.%d.0/24", i%256)
		}
		s.nodes = append(s.nodes, n)
	}
	seen := map[string]bool{}
	for _, a := range plan(s, plantest.Now) {
		if a.Verb == reconcile.Patch && seen[string(a.Patch)] {
			t.Errorf("%s twice", a.Patch)
		}
		seen[string(a.Patch)] = true
	}
	if len(seen) < 200 {
		t.Errorf("only %d ranges given", len(seen))
	}
}
