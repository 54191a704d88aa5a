// Package allocator gives services their cluster IPs and node ports, each to one service only.
//
// # The problem
//
// Two clients create two services at once, perhaps through two API servers: they must not get the same address. The
// usual answer is an allocator that marks addresses as taken in memory or in a bitmap, before the service is written;
// then the process dies in between, and an address is taken by nobody. Upstream lives with that by a repair loop that
// compares bitmap and services every few minutes.
//
// # The flow
//
// Here an address that is taken is a key of its own in the store: /registry/ipaddresses/IP holds the IPAddress object
// that upstream has there, and /registry/ranges/servicenodeports/PORT a RangeAllocation of one port. Create, Update
// and Delete fill in the service and return a Plan: these keys must be absent, write them, delete those. The caller
// merges it into the one transaction that writes the service. So service and addresses are written together or not at
// all; two services that chose the same one differ in the transaction's conditions, and the later one is told by a
// ConflictError, for which Retry says whether to choose again, with the service as it was before.
//
// # The guarantees
//
//   - An address is held by a service if and only if its key exists, at every revision of the store, as long as nobody else deletes
//     keys. Nothing leaks.
//   - It holds for any number of API servers: they share nothing but the store. A real kube-apiserver keeps its node
//     ports elsewhere, in a bitmap that it rebuilds from the services; over its data, and for an IPAddress that a client has deleted
//     though a service holds it, the API server makes the keys by Missing.
//   - A dry run makes the plan, with all its errors, and does not commit it.
//   - Addresses are chosen at random, from the upper part of the range first: the lower is for addresses that people
//     choose themselves (KEP-3070, KEP-3668). The ranges that ServiceCIDRs add (ranges.go) are used once those before them are full;
//     upstream draws lots.
package allocator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where the keys are. Upstream's bitmap of ports is the key without the port.
const (
	ipPrefix   = "/registry/ipaddresses/"
	portPrefix = "/registry/ranges/servicenodeports/"
)

// Store is the part of store.API that allocation reads.
type Store interface {
	Get(ctx context.Context, key string, at store.ReadAt) (*store.Object, error)
	List(ctx context.Context, prefix string, at store.ReadAt, o store.ListOptions) (*store.Page, error)
	Wait(ctx context.Context, rev int64) error
}

// Config is what an Allocator needs.
type Config struct {
	Store Store
	// Encode makes the Put of an object: an IPAddress or a RangeAllocation, of which no client sees the latter.
	Encode func(key string, o resource.Object) (store.Put, error)
	// ServiceCIDR is an IPv4 prefix; FirstPort and LastPort are both within the range of node ports.
	ServiceCIDR         netip.Prefix
	FirstPort, LastPort int
	// Ranges returns the ranges that ServiceCIDR objects add to the first, which is always in use; nil if none may be added.
	Ranges func() []netip.Prefix
	Now    func() metav1.Time
}

// Plan is what to merge into the transaction that writes or deletes the service.
type Plan struct {
	If     []store.Condition
	Put    []store.Put
	Delete []string
}

// AddTo merges the plan into t.
func (p Plan) AddTo(t *store.Txn) {
	t.If = append(t.If, p.If...)
	t.Put = append(t.Put, p.Put...)
	t.Delete = append(t.Delete, p.Delete...)
}

// Allocator plans for services. It keeps no state and may be used concurrently.
type Allocator struct {
	config Config
	ips    ipRange
	ports  pool
}

// New returns an allocator for the two ranges.
func New(c Config) (*Allocator, error) {
	cidr := c.ServiceCIDR.Masked()
	if !hasAddresses(cidr) {
		return nil, fmt.Errorf("allocate service IPs: %s is not an IPv4 range of at least four addresses", c.ServiceCIDR)
	}
	if c.FirstPort < 1 || c.LastPort > 65535 || c.FirstPort > c.LastPort {
		return nil, fmt.Errorf("allocate node ports: %d-%d is not a range of ports", c.FirstPort, c.LastPort)
	}
	ports := c.LastPort - c.FirstPort + 1
	return &Allocator{
		config: c,
		ips:    newIPRange(c.Store, cidr),
		ports: pool{store: c.Store, prefix: portPrefix, size: ports, static: band(ports, 16, 128, 32),
			name: func(i int) string { return fmt.Sprint(c.FirstPort + i) }},
	}, nil
}

// addr is the n-th address of a prefix.
func addr(cidr netip.Prefix, n int) netip.Addr {
	b := cidr.Addr().As4()
	sum := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	sum += uint32(n)
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}

// band is how many addresses at the lower end are left for people to choose.
func band(size, least, most, step int) int {
	if size < least {
		return 0
	}
	return min(max(least, size/step), most)
}

// Retry says whether a commit failed because somebody else took the same address at that moment; then the caller
// plans again, for the service as it was before the first plan. It returns when the image has seen what the commit
// saw, so that the next plan cannot choose the same.
func (a *Allocator) Retry(ctx context.Context, err error) (bool, error) {
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || !(strings.HasPrefix(conflict.Key, ipPrefix) || strings.HasPrefix(conflict.Key, portPrefix)) {
		return false, nil
	}
	return true, a.config.Store.Wait(ctx, conflict.Rev)
}

// pool is one range of addresses.
type pool struct {
	store        Store
	prefix       string
	size, static int
	name         func(i int) string
}

var errFull = errors.New("range is full")

// probes is how many random addresses are tried before all that are taken are listed.
const probes = 16

// free returns an address that is not taken, and not in not.
func (p pool) free(ctx context.Context, not []string) (string, error) {
	dynamic := p.size - p.static
	for range probes {
		if dynamic == 0 {
			break
		}
		name := p.name(p.static + rand.IntN(dynamic))
		taken, err := p.taken(ctx, name)
		if err != nil {
			return "", err
		}
		if !taken && !slices.Contains(not, name) {
			return name, nil
		}
	}
	return p.search(ctx, not)
}

// search goes through the upper band and then the lower, each from a random place on.
func (p pool) search(ctx context.Context, not []string) (string, error) {
	page, err := p.store.List(ctx, p.prefix, store.ReadAt{Kind: store.Any}, store.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list what is taken of %s: %w", p.prefix, err)
	}
	taken := make(map[string]bool, len(page.Objects)+len(not))
	for _, o := range page.Objects {
		taken[strings.TrimPrefix(o.Key, p.prefix)] = true
	}
	for _, name := range not {
		taken[name] = true
	}
	for _, b := range [][2]int{{p.static, p.size}, {0, p.static}} {
		n := b[1] - b[0]
		if n == 0 {
			continue
		}
		start := rand.IntN(n)
		for i := range n {
			if name := p.name(b[0] + (start+i)%n); !taken[name] {
				return name, nil
			}
		}
	}
	return "", errFull
}

// taken asks the image. That it may be a moment behind is the conditions' business.
func (p pool) taken(ctx context.Context, name string) (bool, error) {
	_, err := p.store.Get(ctx, p.prefix+name, store.ReadAt{Kind: store.Any})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s is taken: %w", name, err)
	}
	return true, nil
}
