// Package netns makes network namespaces that look, from inside, like a machine with a network: a loopback
// interface that is up, an address, and a default route. Tests start clusters in them, so that no address,
// route or firewall rule of the real machine is touched, and further nodes live in them.
package netns

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Namespace is a network namespace that a file stands for.
type Namespace struct{ path string }

// At is the namespace that a file stands for: a name that `ip netns` shows, or a pod's.
func At(path string) Namespace { return Namespace{path} }

// Path is the file that stands for the namespace; nsenter --net= takes it.
func (n Namespace) Path() string { return n.path }

// New makes a namespace whose node has the given address. There is no way out of it: both ends of the link
// that carries the address are inside.
func New(name string, address netip.Prefix) (Namespace, error) {
	n := At("/run/netns/" + name)
	if err := create(name); err != nil {
		return n, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	if err := n.Do(func() error { return furnish(address) }); err != nil {
		n.Delete()
		return n, fmt.Errorf("furnish network namespace %s: %w", name, err)
	}
	return n, nil
}

// create makes the namespace and comes back from it: making one means to enter it.
func create(name string) error {
	return onOwnThread(func() error {
		made, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		return made.Close()
	})
}

// Do runs f inside the namespace. Processes that f starts are in it for good.
func (n Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		target, err := netns.GetFromPath(n.path)
		if err != nil {
			return fmt.Errorf("open network namespace %s: %w", n.path, err)
		}
		defer target.Close()
		if err := netns.Set(target); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", n.path, err)
		}
		return f()
	})
}

// onOwnThread runs f on a thread that nothing else uses, and returns that thread to the namespace that it came
// from; if that fails the thread ends with its goroutine.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Delete removes a namespace that New made, and with it its interfaces, routes and rules once no process is in it.
func (n Namespace) Delete() error {
	if err := netns.DeleteNamed(filepath.Base(n.path)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("delete network namespace %s: %w", n.path, err)
	}
	return nil
}

// furnish sets up the namespace that the thread is in.
func furnish(address netip.Prefix) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0-peer"}); err != nil {
		return err
	}
	for _, name := range []string{"eth0", "eth0-peer"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	ipnet := &net.IPNet{IP: address.Addr().AsSlice(), Mask: net.CIDRMask(address.Bits(), address.Addr().BitLen())}
	if err := netlink.AddrAdd(eth0, &netlink.Addr{IPNet: ipnet}); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
}
