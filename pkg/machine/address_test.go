package machine

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/vishvananda/netlink"
)

func TestChooseAddress(t *testing.T) {
	eth := linkAddress{2, false, netip.MustParseAddr("10.0.0.5")}
	wifi := linkAddress{3, false, netip.MustParseAddr("192.168.1.9")}
	docker := linkAddress{4, true, netip.MustParseAddr("172.17.0.1")}
	for _, tt := range []struct {
		name     string
		addrs    []linkAddress
		defaults []int
		want     string
	}{
		{"the default route's", []linkAddress{eth, wifi}, []int{3}, "192.168.1.9"},
		{"the next best where the best has none", []linkAddress{eth, wifi}, []int{7, 3}, "192.168.1.9"},
		{"a bridge that has the default route", []linkAddress{eth, docker}, []int{4}, "172.17.0.1"},
		{"the first without a default route", []linkAddress{docker, wifi, eth}, nil, "192.168.1.9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chooseAddress(tt.addrs, tt.defaults)
			assert.NoError(t, err)
			assert.Equal(t, tt.want, got.String())
		})
	}
	_, err := chooseAddress([]linkAddress{docker}, nil)
	assert.ErrorContains(t, err, "ip link add", "the error says what to do")
}

func TestDefaultLinks(t *testing.T) {
	all := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	other := &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}
	got := defaultLinks([]netlink.Route{
		{LinkIndex: 1, Dst: other},
		{LinkIndex: 2, Priority: 600},
		{LinkIndex: 3, Dst: all, Priority: 100},
		{LinkIndex: 4, Dst: all, Priority: 700},
	})
	assert.Equal(t, 3, got[0], "the route with the lowest metric wins")
	assert.ElementsMatch(t, []int{3, 2, 4}, got)
}
