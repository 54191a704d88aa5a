package proxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// port is one port of a service with the endpoints behind it: all that rules are made from.
type port struct {
	name      string // namespace/name:port, as in the rules' comments
	protocol  string // tcp, udp, sctp
	clusterIP string
	port      int32
	nodePort  int32
	// external are further addresses that lead here: externalIPs; balancer those of a load balancer, for sources in ranges
	// (nil: all).
	external, balancer []string
	ranges             []string
	affinitySeconds    int32 // 0: each connection by chance
	// internalLocal and externalLocal restrict to this node's endpoints what comes from inside and outside.
	internalLocal, externalLocal bool
	all, local                   []endpoint
}

type endpoint struct {
	addr  string // ip:port
	ip    string
	local bool
}

// ports turns a service and its slices into ports. Services without a cluster IP have none: headless ones are for DNS.
func ports(svc *v1.Service, from []*discoveryv1.EndpointSlice, node string) []port {
	if svc.Spec.Type == v1.ServiceTypeExternalName || !isIPv4(svc.Spec.ClusterIP) {
		return nil
	}
	out := make([]port, 0, len(svc.Spec.Ports))
	for i := range svc.Spec.Ports {
		sp := &svc.Spec.Ports[i]
		p := port{
			name:            svc.Namespace + "/" + svc.Name,
			protocol:        strings.ToLower(string(sp.Protocol)),
			clusterIP:       svc.Spec.ClusterIP,
			port:            sp.Port,
			nodePort:        sp.NodePort,
			external:        slices.DeleteFunc(slices.Clone(svc.Spec.ExternalIPs), func(ip string) bool { return !isIPv4(ip) }),
			balancer:        balancerIPs(svc),
			ranges:          svc.Spec.LoadBalancerSourceRanges,
			affinitySeconds: affinitySeconds(svc),
			internalLocal:   svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == v1.ServiceInternalTrafficPolicyLocal,
			externalLocal:   svc.Spec.ExternalTrafficPolicy == v1.ServiceExternalTrafficPolicyLocal,
		}
		if sp.Name != "" {
			p.name += ":" + sp.Name
		}
		p.all = endpoints(from, sp, node, func(endpoint) bool { return true })
		p.local = endpoints(from, sp, node, func(e endpoint) bool { return e.local })
		out = append(out, p)
	}
	return out
}

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

func balancerIPs(svc *v1.Service) (ips []string) {
	if svc.Spec.Type != v1.ServiceTypeLoadBalancer {
		return nil
	}
	for _, in := range svc.Status.LoadBalancer.Ingress {
		proxied := in.IPMode != nil && *in.IPMode == v1.LoadBalancerIPModeProxy
		if isIPv4(in.IP) && !proxied {
			ips = append(ips, in.IP)
		}
	}
	return ips
}

func affinitySeconds(svc *v1.Service) int32 {
	if svc.Spec.SessionAffinity != v1.ServiceAffinityClientIP {
		return 0
	}
	if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return *c.ClientIP.TimeoutSeconds
	}
	return v1.DefaultClientIPServiceAffinitySeconds
}

// endpoints returns the ready ones of a service port that pass where. If there are none, those that are terminating but
// still serve stand in, so that a rollout without overlap loses no connection.
func endpoints(all []*discoveryv1.EndpointSlice, sp *v1.ServicePort, node string, where func(endpoint) bool) []endpoint {
	var ready, serving []endpoint
	for _, s := range all {
		number := slicePort(s, sp)
		if number == 0 {
			continue
		}
		for i := range s.Endpoints {
			in := &s.Endpoints[i]
			e := endpoint{ip: in.Addresses[0], local: in.NodeName != nil && *in.NodeName == node}
			e.addr = e.ip + ":" + strconv.Itoa(int(number))
			switch c := in.Conditions; {
			case !where(e):
			case c.Ready == nil || *c.Ready:
				ready = append(ready, e)
			case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
				serving = append(serving, e)
			}
		}
	}
	if len(ready) == 0 {
		ready = serving
	}
	slices.SortFunc(ready, func(a, b endpoint) int { return cmp.Compare(a.addr, b.addr) })
	return slices.CompactFunc(ready, func(a, b endpoint) bool { return a.addr == b.addr })
}

func slicePort(s *discoveryv1.EndpointSlice, sp *v1.ServicePort) int32 {
	if s.AddressType != discoveryv1.AddressTypeIPv4 {
		return 0
	}
	for _, p := range s.Ports {
		named := p.Name != nil && *p.Name == sp.Name || p.Name == nil && sp.Name == ""
		protocol := v1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if named && protocol == sp.Protocol && p.Port != nil {
			return *p.Port
		}
	}
	return 0
}

func (p *port) String() string { return fmt.Sprintf("%s (%s)", p.name, p.protocol) }
