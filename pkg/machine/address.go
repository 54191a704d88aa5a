package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// NodeAddress is the address by which the node is known: that of the interface which the default route leaves
// through, as on any machine with a network. Without such a route it is the first global address: the cluster
// then works on this machine, and on its link.
func NodeAddress() (netip.Addr, error) {
	addrs, err := globalAddresses()
	if err != nil {
		return netip.Addr{}, err
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list routes: %w", err)
	}
	return chooseAddress(addrs, defaultLinks(routes))
}

// nodeMTU is the size of packets on the link of the default route, or 0 (whatever the kernel takes) without one.
func nodeMTU() (int, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	links := defaultLinks(routes)
	if len(links) == 0 {
		return 0, nil
	}
	link, err := netlink.LinkByIndex(links[0])
	if err != nil {
		return 0, fmt.Errorf("look at the link of the default route: %w", err)
	}
	return link.Attrs().MTU, nil
}

// linkAddress is an address of a network interface.
type linkAddress struct {
	link   int
	bridge bool
	addr   netip.Addr
}

// chooseAddress takes the first address on the best default link that has one, else the first of all that is not
// on a bridge: bridges without the default route are those of container engines.
func chooseAddress(addrs []linkAddress, defaults []int) (netip.Addr, error) {
	for _, link := range defaults {
		for _, a := range addrs {
			if a.link == link {
				return a.addr, nil
			}
		}
	}
	for _, a := range addrs {
		if !a.bridge {
			return a.addr, nil
		}
	}
	return netip.Addr{}, errors.New("this machine has no IPv4 address but 127.0.0.1, so pods could not reach the API server; " +
		"connect it to a network, or give it one: ip link add bonsai-addr type veth peer name bonsai-peer && ip addr add 10.254.0.1/24 dev bonsai-addr && ip link set bonsai-addr up")
}

// globalAddresses are the node's IPv4 addresses that others may use, on interfaces that are up.
func globalAddresses() ([]linkAddress, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var out []linkAddress
	for _, link := range links {
		if link.Attrs().Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
		}
		for _, a := range addrs {
			if addr, ok := netip.AddrFromSlice(a.IP.To4()); ok && addr.IsGlobalUnicast() {
				out = append(out, linkAddress{link.Attrs().Index, link.Type() == "bridge", addr})
			}
		}
	}
	return out, nil
}

// defaultLinks are the interfaces of the default routes, the preferred one first.
func defaultLinks(routes []netlink.Route) []int {
	var links []int
	best := -1
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		if best < 0 || r.Priority < best {
			best = r.Priority
			links = append([]int{r.LinkIndex}, links...)
			continue
		}
		links = append(links, r.LinkIndex)
	}
	return links
}
