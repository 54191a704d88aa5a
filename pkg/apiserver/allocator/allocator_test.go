package allocator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const servicePrefix = "/registry/services/specs/"

// services is the row, which prepares a service before its addresses are planned.
var services = func() *resource.Row {
	rows := resource.Table()
	return rows[slices.IndexFunc(rows, func(r *resource.Row) bool { return r.Kind == "Service" })]
}()

// world is a store with services in it, and what an API server does with them.
type world struct {
	*Allocator
	store *store.Store
}

func newWorld(t *testing.T, cidr string, first, last int) *world {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	a, err := New(Config{
		Store: s, ServiceCIDR: netip.MustParsePrefix(cidr), FirstPort: first, LastPort: last, Now: metav1.Now,
		Encode: func(key string, o resource.Object) (store.Put, error) {
			b, err := json.Marshal(o)
			return store.Put{Key: key, Value: b}, err
		},
	})
	require.NoError(t, err)
	return &world{Allocator: a, store: s}
}

func key(s *corev1.Service) string { return servicePrefix + s.Namespace + "/" + s.Name }

// load returns a service and its revision; nil and 0 if there is none.
func (w *world) load(ctx context.Context, key string) (*corev1.Service, int64, error) {
	o, err := w.store.Get(ctx, key, store.ReadAt{})
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	s := &corev1.Service{}
	return s, o.Rev, json.Unmarshal(o.Value, s)
}

// write creates or updates a service as an API server does: plan, one transaction, and again if an address was lost
// to somebody else. A conflict about the service itself is returned.
func (w *world) write(ctx context.Context, s *corev1.Service) error {
	for {
		old, rev, err := w.load(ctx, key(s))
		if err != nil {
			return err
		}
		next := s.DeepCopy()
		var plan Plan
		if old == nil {
			services.PrepareCreate(next)
			plan, err = w.Create(ctx, next)
		} else {
			services.PrepareUpdate(next, old)
			plan, err = w.Update(ctx, next, old)
		}
		if err != nil {
			return err
		}
		b, err := json.Marshal(next)
		if err != nil {
			return err
		}
		txn := store.Txn{If: []store.Condition{{Key: key(s), Rev: rev}}, Put: []store.Put{{Key: key(s), Value: b}}}
		plan.AddTo(&txn)
		_, err = w.store.Commit(ctx, txn)
		if again, waitErr := w.Retry(ctx, err); waitErr != nil {
			return waitErr
		} else if again {
			continue
		}
		if err == nil {
			*s = *next
		}
		return err
	}
}

func (w *world) remove(ctx context.Context, key string) error {
	old, rev, err := w.load(ctx, key)
	if err != nil || old == nil {
		return err
	}
	txn := store.Txn{If: []store.Condition{{Key: key, Rev: rev}}, Delete: []string{key}}
	w.Delete(old).AddTo(&txn)
	_, err = w.store.Commit(ctx, txn)
	return err
}

// requireExact holds that at this revision the addresses that are keys are exactly those that services hold, each once.
func (w *world) requireExact(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	all, err := w.store.List(ctx, "/registry/", store.ReadAt{}, store.ListOptions{})
	require.NoError(t, err)
	var want, got []string
	for _, o := range all.Objects {
		if strings.HasPrefix(o.Key, ipPrefix) || strings.HasPrefix(o.Key, portPrefix) {
			got = append(got, o.Key)
			continue
		}
		s := &corev1.Service{}
		require.NoError(t, json.Unmarshal(o.Value, s))
		want = append(want, keys(s)...)
	}
	slices.Sort(want)
	require.Equal(t, want, got)
	require.Len(t, slices.Compact(slices.Clone(want)), len(want), "held twice")
}

func service(name string, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	for _, f := range change {
		f(s)
	}
	return s
}

func ip(v string) func(*corev1.Service) { return func(s *corev1.Service) { s.Spec.ClusterIP = v } }

func kind(t corev1.ServiceType) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Type = t }
}

func nodePort(ports ...int32) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.Type, s.Spec.Ports = corev1.ServiceTypeNodePort, nil
		for i, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", i), Port: int32(80 + i), NodePort: p})
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t, "10.96.0.0/24", 30000, 30099)
	ctx := context.Background()
	require.NoError(t, w.write(ctx, service("taken", nodePort(30080), ip("10.96.0.10"))))
	dual := corev1.IPFamilyPolicyRequireDualStack
	for name, tc := range map[string]struct {
		s    *corev1.Service
		want string
	}{
		"IP taken":          {service("x", ip("10.96.0.10")), `spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated`},
		"IP elsewhere":      {service("x", ip("10.97.0.1")), `spec.clusterIPs: Invalid value: ["10.97.0.1"]: failed to allocate IP 10.97.0.1: the provided network does not match the current range`},
		"network address":   {service("x", ip("10.96.0.0")), `the provided network does not match the current range`},
		"broadcast address": {service("x", ip("10.96.0.255")), `the provided network does not match the current range`},
		"port taken":        {service("x", nodePort(30081, 30080)), `spec.ports[1].nodePort: Invalid value: 30080: provided port is already allocated`},
		"port elsewhere":    {service("x", nodePort(8080)), `spec.ports[0].nodePort: Invalid value: 8080: provided port is not in the valid range. The range of valid ports is 30000-30099`},
		"two families":      {service("x", func(s *corev1.Service) { s.Spec.IPFamilyPolicy = &dual }), `spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`},
		"another family":    {service("x", func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }), `spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.write(ctx, tc.s)
			require.ErrorContains(t, err, `Service "x" is invalid: `)
			require.ErrorContains(t, err, tc.want)
			w.requireExact(t)
		})
	}
}

func TestWhatIsChosen(t *testing.T) {
	w := newWorld(t, "10.96.0.0/16", 30000, 32767)
	ctx := context.Background()
	s := service("web")
	require.NoError(t, w.write(ctx, s))
	at := netip.MustParseAddr(s.Spec.ClusterIP)
	require.True(t, netip.MustParsePrefix("10.96.0.0/16").Contains(at))
	require.True(t, at.Compare(netip.MustParseAddr("10.96.1.0")) > 0, "%s is in the band for people", at)
	require.Equal(t, []string{s.Spec.ClusterIP}, s.Spec.ClusterIPs)
	require.Equal(t, []corev1.IPFamily{corev1.IPv4Protocol}, s.Spec.IPFamilies)
	require.Equal(t, corev1.IPFamilyPolicySingleStack, *s.Spec.IPFamilyPolicy)

	o, err := w.store.Get(ctx, ipPrefix+s.Spec.ClusterIP, store.ReadAt{})
	require.NoError(t, err)
	var held networkingv1.IPAddress
	require.NoError(t, json.Unmarshal(o.Value, &held))
	require.Equal(t, &networkingv1.ParentReference{Resource: "services", Namespace: "shop", Name: "web"}, held.Spec.ParentRef)

	for name, tc := range map[string]struct {
		s        *corev1.Service
		ip       string
		families int
	}{
		"headless":      {service("h", ip("None")), "None", 1},
		"headless, any": {service("n", ip("None"), func(s *corev1.Service) { s.Spec.Selector = nil }), "None", 2},
		"external name": {service("e", kind(corev1.ServiceTypeExternalName)), "", 0},
		"for people":    {service("o", ip("10.96.0.1")), "10.96.0.1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, w.write(ctx, tc.s))
			require.Equal(t, tc.ip, tc.s.Spec.ClusterIP)
			require.Len(t, tc.s.Spec.IPFamilies, tc.families)
		})
	}
	w.requireExact(t)
}

func TestNodePorts(t *testing.T) {
	w := newWorld(t, "10.96.0.0/24", 30000, 32767)
	ctx := context.Background()
	no := false
	dns := service("dns", nodePort(0, 0))
	dns.Spec.Ports[1].Port, dns.Spec.Ports[1].Protocol = 80, corev1.ProtocolUDP
	require.NoError(t, w.write(ctx, dns))
	require.Equal(t, dns.Spec.Ports[0].NodePort, dns.Spec.Ports[1].NodePort, "ports that differ in protocol only share one")
	require.Greater(t, dns.Spec.Ports[0].NodePort, int32(30085), "in the band for people")

	two := service("two", nodePort(0, 0))
	require.NoError(t, w.write(ctx, two))
	require.NotEqual(t, two.Spec.Ports[0].NodePort, two.Spec.Ports[1].NodePort)

	balanced := service("lb", kind(corev1.ServiceTypeLoadBalancer), func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	require.NoError(t, w.write(ctx, balanced))
	require.NotZero(t, balanced.Spec.HealthCheckNodePort)
	require.NotZero(t, balanced.Spec.Ports[0].NodePort)
	w.requireExact(t)

	without := service("lb2", kind(corev1.ServiceTypeLoadBalancer), func(s *corev1.Service) { s.Spec.AllocateLoadBalancerNodePorts = &no })
	require.NoError(t, w.write(ctx, without))
	require.Zero(t, without.Spec.Ports[0].NodePort)
	w.requireExact(t)
}

func TestUpdates(t *testing.T) {
	w := newWorld(t, "10.96.0.0/24", 30000, 30099)
	ctx := context.Background()
	s := service("web", nodePort(0, 30001))
	require.NoError(t, w.write(ctx, s))
	had, port := s.Spec.ClusterIP, s.Spec.Ports[0].NodePort

	// A client that applies its manifest again keeps what it was given.
	again := service("web", nodePort(0, 30001))
	require.NoError(t, w.write(ctx, again))
	require.Equal(t, had, again.Spec.ClusterIP)
	require.Equal(t, port, again.Spec.Ports[0].NodePort)

	// A port that moves, and one that goes.
	require.NoError(t, w.write(ctx, service("web", nodePort(30002))))
	w.requireExact(t)
	require.NoError(t, w.write(ctx, service("other", nodePort(30001))), "given back")

	require.NoError(t, w.write(ctx, service("web")))
	w.requireExact(t)
	outside := service("web", kind(corev1.ServiceTypeExternalName), ip(had), func(s *corev1.Service) { s.Spec.ClusterIPs = []string{had} })
	require.NoError(t, w.write(ctx, outside))
	require.Empty(t, outside.Spec.ClusterIP)
	w.requireExact(t)
	require.NoError(t, w.write(ctx, service("heir", ip(had))), "given back")
	require.NoError(t, w.write(ctx, service("web")), "and back again")
	w.requireExact(t)
}

func TestFullRange(t *testing.T) {
	w := newWorld(t, "10.96.0.0/29", 30000, 30001) // six addresses, two ports
	ctx := context.Background()
	for i := range 6 {
		require.NoError(t, w.write(ctx, service(fmt.Sprint("s", i))))
	}
	require.ErrorContains(t, w.write(ctx, service("one-more")), "failed to allocate a serviceIP: range is full")
	require.NoError(t, w.remove(ctx, servicePrefix+"shop/s3"))
	require.NoError(t, w.write(ctx, service("one-more", nodePort(0, 0))))
	require.NoError(t, w.remove(ctx, servicePrefix+"shop/s4"))
	require.ErrorContains(t, w.write(ctx, service("full", nodePort(0))), "failed to allocate a nodePort: range is full")
	w.requireExact(t)
}

// Many clients do anything with few services, few addresses and fewer ports. Whatever they came to, no address is
// held twice and none is lost.
func TestNothingTwiceAndNothingLost(t *testing.T) {
	w := newWorld(t, "10.96.0.0/28", 30000, 30011)
	ctx := context.Background()
	const clients, steps = 8, 25
	var all sync.WaitGroup
	failures := make(chan error, clients*steps)
	for c := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for range steps {
				if err := w.step(ctx, random); err != nil {
					failures <- err
				}
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	w.requireExact(t)
	for i := range 12 {
		require.NoError(t, w.remove(ctx, fmt.Sprintf("%sshop/s%d", servicePrefix, i)))
	}
	page, err := w.store.List(ctx, "/registry/", store.ReadAt{}, store.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, page.Objects)
}

// step does one random thing, and returns an error only for what must not happen.
func (w *world) step(ctx context.Context, r *rand.Rand) error {
	name := fmt.Sprint("s", r.IntN(12))
	var err error
	switch r.IntN(6) {
	case 0, 1:
		err = w.remove(ctx, servicePrefix+"shop/"+name)
	case 2:
		err = w.write(ctx, service(name, nodePort(0, 0)))
	case 3:
		err = w.write(ctx, service(name, nodePort(30000+r.Int32N(12)), ip(fmt.Sprint("10.96.0.", 1+r.IntN(14)))))
	case 4:
		err = w.write(ctx, service(name, kind(corev1.ServiceTypeExternalName)))
	default:
		err = w.write(ctx, service(name))
	}
	var conflict *store.ConflictError
	if err == nil || errors.As(err, &conflict) && strings.HasPrefix(conflict.Key, servicePrefix) {
		return nil
	}
	for _, expected := range []string{"already allocated", "range is full", "spec.clusterIPs: Required value"} {
		if strings.Contains(err.Error(), expected) {
			return nil
		}
	}
	return err
}

// Services that another API server wrote get their keys, once.
func TestMissing(t *testing.T) {
	w := newWorld(t, "10.96.0.0/24", 30000, 30099)
	ctx := context.Background()
	s := service("foreign", nodePort(30005, 30006), ip("10.96.0.77"))
	services.PrepareCreate(s)
	b, err := json.Marshal(s)
	require.NoError(t, err)
	_, err = w.store.Commit(ctx, store.Txn{Put: []store.Put{{Key: key(s), Value: b}}})
	require.NoError(t, err)
	for _, want := range []int{3, 0} {
		plan, err := w.Missing(ctx, s)
		require.NoError(t, err)
		require.Len(t, plan.Put, want)
		require.Empty(t, plan.Delete)
		if want > 0 {
			var txn store.Txn
			plan.AddTo(&txn)
			made, err := w.store.Commit(ctx, txn)
			require.NoError(t, err)
			require.NoError(t, w.store.Wait(ctx, made[0].Rev))
		}
	}
	w.requireExact(t)
	require.ErrorContains(t, w.write(ctx, service("x", nodePort(30006))), "already allocated")
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{
		{ServiceCIDR: netip.MustParsePrefix("fd00::/112"), FirstPort: 1, LastPort: 2},
		{ServiceCIDR: netip.MustParsePrefix("10.0.0.0/31"), FirstPort: 1, LastPort: 2},
		{ServiceCIDR: netip.MustParsePrefix("10.0.0.0/24"), FirstPort: 3, LastPort: 2},
	} {
		_, err := New(c)
		require.Error(t, err)
	}
}
