package allocator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// planner makes one plan.
type planner struct {
	*Allocator
	service *corev1.Service
	// ips and ports are held by the service after the plan.
	ips, ports []string
	// hadIPs and hadPorts were held before it.
	hadIPs, hadPorts []string
}

// Create fills in the IPs and node ports of a new service.
func (a *Allocator) Create(ctx context.Context, s *corev1.Service) (Plan, error) {
	return a.plan(ctx, s, nil)
}

// Update does so for a changed one, and gives back what it does not need any more. old is what is stored; next has
// been prepared by the row of services, which carries over from old what the client left out.
func (a *Allocator) Update(ctx context.Context, next, old *corev1.Service) (Plan, error) {
	return a.plan(ctx, next, old)
}

// Missing is for a service that some other API server has written: it takes what the service holds and has no key.
func (a *Allocator) Missing(ctx context.Context, s *corev1.Service) (Plan, error) {
	p := &planner{Allocator: a, service: s}
	for _, pool := range []struct {
		pool
		holds     []string
		all, have *[]string
	}{{a.ips.pool, holdsIPs(s), &p.ips, &p.hadIPs}, {a.ports, portNames(s), &p.ports, &p.hadPorts}} {
		*pool.all = pool.holds
		for _, name := range pool.holds {
			taken, err := pool.taken(ctx, name)
			if err != nil {
				return Plan{}, err
			}
			if taken {
				*pool.have = append(*pool.have, name)
			}
		}
	}
	return p.difference()
}

// Delete gives back everything.
func (a *Allocator) Delete(old *corev1.Service) Plan {
	return Plan{Delete: keys(old)}
}

func keys(s *corev1.Service) []string {
	var list []string
	for _, ip := range holdsIPs(s) {
		list = append(list, ipPrefix+ip)
	}
	for _, port := range portNames(s) {
		list = append(list, portPrefix+port)
	}
	return list
}

func portNames(s *corev1.Service) []string {
	var names []string
	for _, port := range holdsPorts(s) {
		names = append(names, strconv.Itoa(int(port)))
	}
	return names
}

func (a *Allocator) plan(ctx context.Context, s, old *corev1.Service) (Plan, error) {
	p := &planner{Allocator: a, service: s, hadIPs: holdsIPs(old), hadPorts: portNames(old)}
	if errs := families(s); len(errs) > 0 {
		return Plan{}, p.invalid(errs...)
	}
	if err := p.assignIP(ctx); err != nil {
		return Plan{}, err
	}
	if err := p.assignPorts(ctx); err != nil {
		return Plan{}, err
	}
	if err := p.assignHealthPort(ctx); err != nil {
		return Plan{}, err
	}
	return p.difference()
}

// assignIP takes the IP that the client asks for, or a free one.
func (p *planner) assignIP(ctx context.Context) error {
	s := p.service
	if !needsIP(s) {
		return nil
	}
	if len(s.Spec.ClusterIPs) == 0 && s.Spec.ClusterIP == "" {
		ip, err := p.freeIP(ctx)
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP: %w", err))
		}
		s.Spec.ClusterIP, s.Spec.ClusterIPs = ip, []string{ip}
		p.ips = s.Spec.ClusterIPs
		return nil
	}
	for _, ip := range s.Spec.ClusterIPs {
		if !slices.Contains(p.hadIPs, ip) {
			if err := p.takeIP(ctx, ip); err != nil {
				return err
			}
		}
		p.ips = append(p.ips, ip)
	}
	return nil
}

// freeIP is one of the first range that has one.
func (p *planner) freeIP(ctx context.Context) (ip string, err error) {
	for _, r := range p.ranges() {
		began := time.Now()
		ip, err = r.free(ctx, nil)
		p.config.Counts.ip(r.cidr, dynamic, err == nil, time.Since(began))
		if !errors.Is(err, errFull) {
			break
		}
	}
	return ip, err
}

// takeIP refuses an IP that cannot be had. What is no IP at all is for validation to refuse, which comes after.
func (p *planner) takeIP(ctx context.Context, ip string) error {
	refuse := func(why string) error {
		return p.invalid(field.Invalid(field.NewPath("spec", "clusterIPs"), p.service.Spec.ClusterIPs, fmt.Sprintf("failed to allocate IP %v: %s", ip, why)))
	}
	at, err := netip.ParseAddr(ip)
	if err != nil {
		return nil
	}
	ranges := p.ranges()
	of := slices.IndexFunc(ranges, func(r ipRange) bool { return r.has(at) })
	if of < 0 {
		return refuse("the provided network does not match the current range")
	}
	began := time.Now()
	taken, err := p.Allocator.ips.taken(ctx, ip)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	p.config.Counts.ip(ranges[of].cidr, static, !taken, time.Since(began))
	if taken {
		return refuse("provided IP is already allocated")
	}
	return nil
}

// assignPorts takes the node ports that the client asks for, and free ones for the rest. Ports that differ in their
// protocol only share one: DNS over UDP and TCP is one thing to who looks at it from outside.
func (p *planner) assignPorts(ctx context.Context) error {
	s := p.service
	if !mayHavePorts(s) {
		return nil
	}
	shared := map[int32]int32{} // by the service's port
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.NodePort == 0 {
			continue
		}
		if err := p.takePort(ctx, port.NodePort, field.NewPath("spec", "ports").Index(i).Child("nodePort")); err != nil {
			return err
		}
		if _, ok := shared[port.Port]; !ok {
			shared[port.Port] = port.NodePort
		}
	}
	if !needsPorts(s) {
		return nil
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.NodePort != 0 {
			continue
		}
		if port.NodePort = shared[port.Port]; port.NodePort != 0 {
			continue
		}
		n, err := p.freePort(ctx)
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
		}
		port.NodePort, shared[port.Port] = n, n
	}
	return nil
}

// assignHealthPort does the same for the port by which load balancers ask for the health of the service on a node.
func (p *planner) assignHealthPort(ctx context.Context) error {
	s := p.service
	if !needsHealthPort(s) {
		return nil
	}
	if n := s.Spec.HealthCheckNodePort; n != 0 {
		return p.takePort(ctx, n, field.NewPath("spec", "healthCheckNodePort"))
	}
	n, err := p.freePort(ctx)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort: %w", err))
	}
	s.Spec.HealthCheckNodePort = n
	return nil
}

// takePort takes the port, unless the service holds it already.
func (p *planner) takePort(ctx context.Context, n int32, path *field.Path) error {
	name := strconv.Itoa(int(n))
	if slices.Contains(p.ports, name) {
		return nil
	}
	if !slices.Contains(p.hadPorts, name) {
		if int(n) < p.config.FirstPort || int(n) > p.config.LastPort {
			p.config.Counts.port(static, false)
			return p.invalid(field.Invalid(path, n, fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", p.config.FirstPort, p.config.LastPort)))
		}
		taken, err := p.Allocator.ports.taken(ctx, name)
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		p.config.Counts.port(static, !taken)
		if taken {
			return p.invalid(field.Invalid(path, n, "provided port is already allocated"))
		}
	}
	p.ports = append(p.ports, name)
	return nil
}

func (p *planner) freePort(ctx context.Context) (int32, error) {
	name, err := p.Allocator.ports.free(ctx, p.ports)
	p.config.Counts.port(dynamic, err == nil)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(name, 10, 32)
	p.ports = append(p.ports, name)
	return int32(n), err
}

func (p *planner) invalid(errs ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, p.service.Name, errs)
}

// difference turns what was held before and after into a plan.
func (p *planner) difference() (Plan, error) {
	var out Plan
	for _, ip := range p.ips {
		if !slices.Contains(p.hadIPs, ip) {
			if err := p.put(&out, ipPrefix+ip, p.ipObject(ip)); err != nil {
				return Plan{}, err
			}
		}
	}
	for _, port := range p.ports {
		if !slices.Contains(p.hadPorts, port) {
			if err := p.put(&out, portPrefix+port, p.portObject(port)); err != nil {
				return Plan{}, err
			}
		}
	}
	for _, ip := range p.hadIPs {
		if !slices.Contains(p.ips, ip) {
			out.Delete = append(out.Delete, ipPrefix+ip)
		}
	}
	for _, port := range p.hadPorts {
		if !slices.Contains(p.ports, port) {
			out.Delete = append(out.Delete, portPrefix+port)
		}
	}
	return out, nil
}

func (p *planner) put(out *Plan, key string, o resource.Object) error {
	put, err := p.config.Encode(key, o)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("encode allocation %s: %w", key, err))
	}
	out.If = append(out.If, store.Condition{Key: key})
	out.Put = append(out.Put, put)
	return nil
}

// ipObject is what upstream keeps for a service's IP.
func (p *planner) ipObject(ip string) resource.Object {
	now := p.config.Now()
	return &networkingv1.IPAddress{
		TypeMeta: metav1.TypeMeta{Kind: "IPAddress", APIVersion: "networking.k8s.io/v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: ip, UID: uuid.NewUUID(), CreationTimestamp: now,
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kube-apiserver", Operation: metav1.ManagedFieldsOperationUpdate,
				APIVersion: "networking.k8s.io/v1", Time: &now, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: ipFields}}},
			Labels: map[string]string{
				networkingv1.LabelIPAddressFamily: string(corev1.IPv4Protocol),
				networkingv1.LabelManagedBy:       "ipallocator.k8s.io",
			},
		},
		Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: p.service.Namespace, Name: p.service.Name}},
	}
}

// ipFields are the fields that all objects of ipObject have.
var ipFields = []byte(`{"f:metadata":{"f:labels":{".":{},"f:ipaddress.kubernetes.io/ip-family":{},"f:ipaddress.kubernetes.io/managed-by":{}}},` +
	`"f:spec":{"f:parentRef":{".":{},"f:name":{},"f:namespace":{},"f:resource":{}}}}`)

// portObject says who holds the port in its annotation, for people who look.
func (p *planner) portObject(port string) resource.Object {
	return &corev1.RangeAllocation{
		TypeMeta: metav1.TypeMeta{Kind: "RangeAllocation", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: port, UID: uuid.NewUUID(), CreationTimestamp: p.config.Now(),
			Annotations: map[string]string{"service": p.service.Namespace + "/" + p.service.Name},
		},
		Range: port + "-" + port,
	}
}
