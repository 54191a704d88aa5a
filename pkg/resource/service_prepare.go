package resource

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// An update of a Service is hardly ever the whole Service. People send back what they once wrote, which lacks
// what the server has allocated since; and they change the type, and leave the fields of the old one. So before an
// update is validated, clusterIP and clusterIPs are brought into step, what was allocated is carried over, and what
// belonged to the old type and was not touched is dropped.

func prepareService(s *corev1.Service) {
	s.Status = corev1.ServiceStatus{}
	if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	dropUnused(s)
}

func prepareServiceUpdate(next, old *corev1.Service) {
	next.Status = *old.Status.DeepCopy()
	carryAllocated(next, old)
	alignClusterIPs(next, old)
	dropOfOldType(next, old)
	dropUnused(next)
}

// dropUnused drops what no service of the type has: a name outside has no traffic inside, and what balances no load has none
// who says how. That a balancer may still be on its way out need not be shown.
func dropUnused(s *corev1.Service) {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		s.Spec.InternalTrafficPolicy = nil
	}
	if !isLoadBalancer(s) {
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

// alignClusterIPs lets clients that know only clusterIP change it: if they did, and clusterIPs is as it was or not there, clusterIPs
// follows.
func alignClusterIPs(next, old *corev1.Service) {
	missing := len(next.Spec.ClusterIPs) == 0 && needsClusterIP(next)
	if next.Spec.ClusterIP == old.Spec.ClusterIP || !missing && !slices.Equal(next.Spec.ClusterIPs, old.Spec.ClusterIPs) {
		return
	}
	next.Spec.ClusterIPs = nil
	if next.Spec.ClusterIP != "" {
		next.Spec.ClusterIPs = []string{next.Spec.ClusterIP}
	}
}

// carryAllocated fills in what the client left empty and the server had allocated.
func carryAllocated(next, old *corev1.Service) {
	if needsClusterIP(old) && needsClusterIP(next) {
		or(&next.Spec.ClusterIP, old.Spec.ClusterIP)
		if len(next.Spec.ClusterIPs) == 0 && next.Spec.ClusterIP == old.Spec.ClusterIP {
			next.Spec.ClusterIPs = old.Spec.ClusterIPs
		}
	}
	if needsNodePorts(old) && needsNodePorts(next) {
		carryNodePorts(next, old)
	}
	if needsHealthCheck(old) && needsHealthCheck(next) {
		or(&next.Spec.HealthCheckNodePort, old.Spec.HealthCheckNodePort)
	}
}

// carryNodePorts gives each port that is still there, by its name, the node port it had, unless the client gave that to
// another.
func carryNodePorts(next, old *corev1.Service) {
	had, asked := map[string]int32{}, map[int32]bool{}
	for _, p := range old.Spec.Ports {
		had[p.Name] = p.NodePort
	}
	for _, p := range next.Spec.Ports {
		asked[p.NodePort] = true
	}
	for i := range next.Spec.Ports {
		p := &next.Spec.Ports[i]
		if before := had[p.Name]; p.NodePort == 0 && !asked[before] {
			p.NodePort = before
		}
	}
}

// dropOfOldType clears the fields that only the old type has a use for, where the client left them as they were. Those
// that the client did change stay, for validation to refuse.
func dropOfOldType(next, old *corev1.Service) {
	n, o := &next.Spec, &old.Spec
	if needsClusterIP(old) && !needsClusterIP(next) {
		if n.ClusterIP == o.ClusterIP && slices.Equal(n.ClusterIPs, o.ClusterIPs) {
			n.ClusterIP, n.ClusterIPs = "", nil
		}
		if slices.Equal(n.IPFamilies, o.IPFamilies) {
			n.IPFamilies = nil
		}
		dropSame(&n.IPFamilyPolicy, o.IPFamilyPolicy)
	}
	if needsNodePorts(old) && !needsNodePorts(next) && sameNodePorts(n.Ports, o.Ports) {
		for i := range n.Ports {
			n.Ports[i].NodePort = 0
		}
	}
	if needsHealthCheck(old) && !needsHealthCheck(next) && n.HealthCheckNodePort == o.HealthCheckNodePort {
		n.HealthCheckNodePort = 0
	}
	if isLoadBalancer(old) && !isLoadBalancer(next) {
		dropSame(&n.AllocateLoadBalancerNodePorts, o.AllocateLoadBalancerNodePorts)
		dropSame(&n.LoadBalancerClass, o.LoadBalancerClass)
	}
	if fromOutside(old) && !fromOutside(next) && n.ExternalTrafficPolicy == o.ExternalTrafficPolicy {
		n.ExternalTrafficPolicy = ""
	}
}

// dropSame clears *next if it is equal to old.
func dropSame[T comparable](next **T, old *T) {
	if *next != nil && old != nil && **next == *old {
		*next = nil
	}
}

// sameNodePorts says whether no port of next has a node port that old did not have.
func sameNodePorts(next, old []corev1.ServicePort) bool {
	had := map[int32]bool{0: true}
	for _, p := range old {
		had[p.NodePort] = true
	}
	return !slices.ContainsFunc(next, func(p corev1.ServicePort) bool { return !had[p.NodePort] })
}
