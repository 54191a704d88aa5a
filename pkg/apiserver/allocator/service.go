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
