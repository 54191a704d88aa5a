package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// serviceWarnings warns of what is deprecated, of addresses that are written unusually, and of what is ignored.
func serviceWarnings(s, _ *corev1.Service) []string {
	warnings := deprecatedOfService(s)
	for path, ip := range serviceAddresses(s) {
		warnings = append(warnings, validation.GetWarningsForIP(path.path(), ip)...)
	}
	ranges := newPlace("spec", "loadBalancerSourceRanges")
	for i, r := range s.Spec.LoadBalancerSourceRanges {
		warnings = append(warnings, validation.GetWarningsForCIDR(ranges.Index(i).path(), r)...)
	}
	return append(warnings, ignoredOfService(s)...)
}

func deprecatedOfService(s *corev1.Service) []string {
	var warnings []string
	if _, ok := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; ok {
		warnings = append(warnings, fmt.Sprintf("annotation %s is deprecated, please use %s instead",
			corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	}
	if len(s.Spec.ExternalIPs) > 0 && !isHeadless(s) && s.Spec.Type != corev1.ServiceTypeExternalName {
		warnings = append(warnings, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	}
	if d := s.Spec.TrafficDistribution; d != nil && *d == corev1.ServiceTrafficDistributionPreferClose {
		warnings = append(warnings, fmt.Sprintf("spec.trafficDistribution: %q is deprecated; use %q",
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone))
	}
	return warnings
}

// serviceAddresses iterates over the addresses that people write into a Service.
func serviceAddresses(s *corev1.Service) func(yield func(*place, string) bool) {
	spec := newPlace("spec")
	return func(yield func(*place, string) bool) {
		for i, ip := range s.Spec.ClusterIPs {
			if ip != corev1.ClusterIPNone && needsClusterIP(s) && !yield(spec.Child("clusterIPs").Index(i), ip) {
				return
			}
		}
		for i, ip := range s.Spec.ExternalIPs {
			if !yield(spec.Child("externalIPs").Index(i), ip) {
				return
			}
		}
		if ip := s.Spec.LoadBalancerIP; ip != "" {
			yield(spec.Child("loadBalancerIP"), ip)
		}
	}
}

func ignoredOfService(s *corev1.Service) []string {
	var warnings []string
	ignored := func(is bool, what string) {
		if is {
			warnings = append(warnings, what)
		}
	}
	spec := s.Spec
	headless := spec.Type == corev1.ServiceTypeClusterIP && spec.ClusterIP == corev1.ClusterIPNone
	ignored(headless && spec.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	ignored(headless && len(spec.ExternalIPs) > 0, "spec.externalIPs is ignored for headless services")
	ignored(headless && spec.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	external := spec.Type == corev1.ServiceTypeExternalName
	ignored(external && len(spec.ExternalIPs) > 0, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	ignored(!external && spec.ExternalName != "", `spec.externalName is ignored when spec.type is not "ExternalName"`)
	return warnings
}
