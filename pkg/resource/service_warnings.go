package resource

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// serviceWarnings warns of what is deprecated, of addresses that are written unusually, and of what is ignored, in the order in which
// clients have always been told.
func serviceWarnings(s, _ *corev1.Service) []string {
	w := serviceWarner{spec: &s.Spec, path: newPlace("spec")}
	if _, ok := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; ok {
		w.add(true, "annotation %s is deprecated, please use %s instead", corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode)
	}
	if needsClusterIP(s) && !slices.Contains(s.Spec.ClusterIPs, corev1.ClusterIPNone) {
		w.addresses("clusterIPs", s.Spec.ClusterIPs)
	}
	headless := s.Spec.Type == corev1.ServiceTypeClusterIP && s.Spec.ClusterIP == corev1.ClusterIPNone
	w.add(headless && s.Spec.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	w.add(headless && len(s.Spec.ExternalIPs) > 0, "spec.externalIPs is ignored for headless services")
	w.add(headless && s.Spec.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	w.externals(headless)
	return w.all
}

// serviceWarner collects warnings about a Service.
type serviceWarner struct {
	spec *corev1.ServiceSpec
	path *place
	all  []string
}

func (w *serviceWarner) add(that bool, format string, args ...any) {
	if that {
		w.all = append(w.all, fmt.Sprintf(format, args...))
	}
}

// addresses warns of those of a field that are written unusually.
func (w *serviceWarner) addresses(name string, ips []string) {
	for i, ip := range ips {
		w.all = append(w.all, validation.GetWarningsForIP(w.path.Child(name).Index(i).path(), ip)...)
	}
}

// externals warns of what is for clients outside of the cluster, and of how traffic is spread.
func (w *serviceWarner) externals(headless bool) {
	s, named := w.spec, w.spec.Type == corev1.ServiceTypeExternalName
	w.addresses("externalIPs", s.ExternalIPs)
	w.add(len(s.ExternalIPs) > 0 && !headless && !named, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	if s.LoadBalancerIP != "" {
		w.all = append(w.all, validation.GetWarningsForIP(w.path.Child("loadBalancerIP").path(), s.LoadBalancerIP)...)
	}
	for i, r := range s.LoadBalancerSourceRanges {
		w.all = append(w.all, validation.GetWarningsForCIDR(w.path.Child("loadBalancerSourceRanges").Index(i).path(), r)...)
	}
	w.add(named && len(s.ExternalIPs) > 0, "spec.externalIPs is ignored when spec.type is %q", corev1.ServiceTypeExternalName)
	w.add(!named && s.ExternalName != "", "spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName)
	w.add(s.TrafficDistribution != nil && *s.TrafficDistribution == corev1.ServiceTrafficDistributionPreferClose,
		"spec.trafficDistribution: %q is deprecated; use %q", corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone)
}
