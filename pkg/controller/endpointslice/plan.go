package endpointslice

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	endpointutil "k8s.io/endpointslice/util"

	"bonsai/pkg/reconcile"
)

// state is all that a plan depends on.
type state struct {
	service *corev1.Service
	// pods are those the selector matches, nodes those they run on, slices this controller's for the Service.
	pods   []*corev1.Pod
	nodes  map[string]*corev1.Node
	slices []*discoveryv1.EndpointSlice
}

// plan makes the slices list the pods.
func plan(s state, _ time.Time) reconcile.Plan {
	b := &batch{service: s.service}
	families := familiesOf(s.service)
	slices.SortFunc(s.slices, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for _, slice := range s.slices {
		if !slices.Contains(families, slice.AddressType) {
			b.drop(slice, "the Service has no addresses of type %s", slice.AddressType)
		}
	}
	for _, family := range families {
		planFamily(b, s, family)
	}
	return b.plan()
}

// familiesOf are the address types of a Service. One that has none yet, because it is headless and old, may have either.
func familiesOf(s *corev1.Service) []discoveryv1.AddressType {
	var families []discoveryv1.AddressType
	for _, f := range s.Spec.IPFamilies {
		families = append(families, discoveryv1.AddressType(f))
	}
	if ip, err := netip.ParseAddr(s.Spec.ClusterIP); len(families) == 0 && err == nil {
		families = append(families, addressType(ip))
	}
	if len(families) == 0 {
		families = []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	}
	return families
}

func addressType(ip netip.Addr) discoveryv1.AddressType {
	if ip.Is4() {
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}

// group are the endpoints that share their ports, and the slices that have them.
type group struct {
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
	slices    []*discoveryv1.EndpointSlice
}

// planFamily plans the slices of one address type. One without any endpoints has one empty slice, which says that the Service is
// known and has nobody.
func planFamily(b *batch, s state, family discoveryv1.AddressType) {
	groups := map[string]*group{}
	for _, slice := range s.slices {
		switch {
		case slice.AddressType != family:
		case !metav1.IsControlledBy(slice, s.service):
			b.drop(slice, "it belongs to an earlier Service of this name")
		default:
			g := groupOf(groups, slice.Ports)
			g.slices = append(g.slices, slice)
		}
	}
	any := false
	for _, pod := range s.pods {
		if e, ok := endpointOf(s, pod, family); ok {
			g := groupOf(groups, portsOf(s.service, pod))
			g.endpoints = append(g.endpoints, e)
			any = true
		}
	}
	if !any {
		empty := groupOf(groups, nil)
		empty.placeholder(b, family)
		delete(groups, portsKey(nil))
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		groups[key].pack(b, family)
	}
}

func groupOf(groups map[string]*group, ports []discoveryv1.EndpointPort) *group {
	key := portsKey(ports)
	if groups[key] == nil {
		groups[key] = &group{ports: ports}
	}
	return groups[key]
}

func portsKey(ports []discoveryv1.EndpointPort) string {
	var keys []string
	for _, p := range ports {
		keys = append(keys, fmt.Sprint(text(p.Name), text((*string)(p.Protocol)), number(p.Port), text(p.AppProtocol)))
	}
	slices.Sort(keys)
	return strings.Join(keys, ",")
}

func text(s *string) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%q", *s)
}

func number(n *int32) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// endpointOf is what is listed of a pod, if it is listed at all. A pod whose node is unknown is about to be removed.
func endpointOf(s state, pod *corev1.Pod, family discoveryv1.AddressType) (discoveryv1.Endpoint, bool) {
	node, addresses := s.nodes[pod.Spec.NodeName], addressesOf(pod, family)
	publish := s.service.Spec.PublishNotReadyAddresses
	if !endpointutil.ShouldPodBeInEndpoints(pod, true) || len(addresses) == 0 || node == nil && !publish {
		return discoveryv1.Endpoint{}, false
	}
	serving, terminating := endpointutil.IsPodReady(pod), pod.DeletionTimestamp != nil
	ready := publish || serving && !terminating
	e := discoveryv1.Endpoint{
		Addresses:  addresses,
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		e.NodeName = &pod.Spec.NodeName
	}
	if node != nil && node.Labels[corev1.LabelTopologyZone] != "" {
		zone := node.Labels[corev1.LabelTopologyZone]
		e.Zone = &zone
	}
	if endpointutil.ShouldSetHostname(pod, s.service) {
		e.Hostname = &pod.Spec.Hostname
	}
	if ready {
		e.Hints = hints(s.service, e)
	}
	return e, true
}

// hints tell proxies who should prefer this endpoint: those of its zone, or of its node too.
func hints(s *corev1.Service, e discoveryv1.Endpoint) *discoveryv1.EndpointHints {
	if s.Spec.TrafficDistribution == nil {
		return nil
	}
	var h discoveryv1.EndpointHints
	if e.Zone != nil {
		h.ForZones = []discoveryv1.ForZone{{Name: *e.Zone}}
	}
	if e.NodeName != nil && *s.Spec.TrafficDistribution == corev1.ServiceTrafficDistributionPreferSameNode {
		h.ForNodes = []discoveryv1.ForNode{{Name: *e.NodeName}}
	}
	if h.ForZones == nil && h.ForNodes == nil {
		return nil
	}
	return &h
}

func addressesOf(pod *corev1.Pod, family discoveryv1.AddressType) []string {
	var addresses []string
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil && addressType(a) == family {
			addresses = append(addresses, a.String())
		}
	}
	return addresses
}

// portsOf are the Service's ports as they are in this pod. A named target port that the pod does not have is left out.
func portsOf(s *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for _, p := range s.Spec.Ports {
		if n, ok := targetPort(pod, p); ok {
			ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &n, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
		}
	}
	return ports
}

func targetPort(pod *corev1.Pod, p corev1.ServicePort) (int32, bool) {
	if p.TargetPort.Type == intstr.Int {
		return p.TargetPort.IntVal, true
	}
	containers := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	for _, c := range containers {
		for _, have := range c.Ports {
			if have.Name == p.TargetPort.StrVal && have.Protocol == p.Protocol {
				return have.ContainerPort, true
			}
		}
	}
	return 0, false
}
