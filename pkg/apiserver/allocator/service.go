package allocator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// needsIP says whether a service has cluster IPs, headless ones excepted.
func needsIP(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone
}

// needsPorts says whether every port of a service has a node port.
func needsPorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || (s.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		(s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts))
}

// mayHavePorts says whether a service may have node ports at all.
func mayHavePorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// needsHealthPort says whether load balancers ask a node port for the service's health on that node.
func needsHealthPort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// Carry keeps in an update what the client left out because the server had chosen it: the cluster IP, and the node ports, by the names of their ports. It is part of preparing an
// update and comes before validation, which holds the IP to be unchanged.
func Carry(next, old *corev1.Service) {
	if needsIP(next) && needsIP(old) {
		if next.Spec.ClusterIP == "" {
			next.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(next.Spec.ClusterIPs) == 0 && next.Spec.ClusterIP == old.Spec.ClusterIP {
			next.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if needsPorts(next) && needsPorts(old) {
		carryPorts(next, old)
	}
	if needsHealthPort(next) && needsHealthPort(old) && next.Spec.HealthCheckNodePort == 0 {
		next.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

func carryPorts(next, old *corev1.Service) {
	var used []int32
	for _, p := range next.Spec.Ports {
		used = append(used, p.NodePort)
	}
	byName := map[string]int32{}
	for _, p := range old.Spec.Ports {
		byName[p.Name] = p.NodePort
	}
	for i := range next.Spec.Ports {
		p := &next.Spec.Ports[i]
		if port := byName[p.Name]; p.NodePort == 0 && !slices.Contains(used, port) {
			p.NodePort = port
			used = append(used, port)
		}
	}
}

// normalize keeps clusterIP and clusterIPs[0] the same, whichever of them the client set.
func normalize(s *corev1.Service) {
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "", nil, nil, nil
	case s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0:
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	case s.Spec.ClusterIP == "" && len(s.Spec.ClusterIPs) > 0:
		s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	}
}

// holdsIPs and holdsPorts list what a stored service holds.
func holdsIPs(s *corev1.Service) []string {
	if s == nil || !needsIP(s) {
		return nil
	}
	return s.Spec.ClusterIPs
}

func holdsPorts(s *corev1.Service) []int32 {
	if s == nil || !mayHavePorts(s) {
		return nil
	}
	var ports []int32
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 && !slices.Contains(ports, p.NodePort) {
			ports = append(ports, p.NodePort)
		}
	}
	if p := s.Spec.HealthCheckNodePort; p != 0 && needsHealthPort(s) && !slices.Contains(ports, p) {
		ports = append(ports, p)
	}
	return ports
}
