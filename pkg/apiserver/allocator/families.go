package allocator

import (
	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// families fills in the IP families of a service, which in a cluster of one family leave little choice. The checks come in the
// order of the API: what is wrong with any service, then with the number of its addresses, then with what this cluster has.
func families(s *corev1.Service) field.ErrorList {
	spec := &s.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	// A headless service without a selector has no addresses but those that somebody puts into its endpoints: of any family.
	free := spec.ClusterIP == corev1.ClusterIPNone && len(spec.Selector) == 0
	if spec.IPFamilyPolicy == nil {
		policy := corev1.IPFamilyPolicySingleStack
		if free {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		spec.IPFamilyPolicy = &policy
	}
	if errs := resource.ServiceIPFaults(s); len(errs) > 0 {
		return errs
	}
	if errs := familiesOfIPs(spec); len(errs) > 0 {
		return errs
	}
	if free {
		anyFamily(spec)
		return nil
	}
	if errs := configured(spec); len(errs) > 0 {
		return errs
	}
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	return nil
}

// familiesOfIPs wants two of anything to be asked for, and takes the families from the addresses where they are not told.
func familiesOfIPs(spec *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	for _, two := range []struct {
		of   bool
		what string
	}{{len(spec.ClusterIPs) == 2, "cluster IPs"}, {len(spec.IPFamilies) == 2, "IP families"}} {
		if two.of && *spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack {
			errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), *spec.IPFamilyPolicy,
				"must be 'RequireDualStack' or 'PreferDualStack' when multiple "+two.what+" are specified"))
		}
	}
	for i, ip := range spec.ClusterIPs {
		switch {
		case ip == corev1.ClusterIPNone || i < len(spec.IPFamilies):
		case netutils.IsIPv6String(ip):
			errs = append(errs, field.Invalid(field.NewPath("spec", "clusterIPs").Index(i), spec.ClusterIPs, "IPv6 is not configured on this cluster"))
		default:
			spec.IPFamilies = append(spec.IPFamilies, corev1.IPv4Protocol)
		}
	}
	return errs
}

// configured refuses what only a cluster of two families has.
func configured(spec *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	if *spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack {
		errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), *spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, f := range spec.IPFamilies {
		if f != corev1.IPv4Protocol {
			errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilies").Index(i), f, "not configured on this cluster"))
		}
	}
	return errs
}

func anyFamily(spec *corev1.ServiceSpec) {
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if len(spec.IPFamilies) == 1 && *spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		other := corev1.IPv6Protocol
		if spec.IPFamilies[0] == other {
			other = corev1.IPv4Protocol
		}
		spec.IPFamilies = append(spec.IPFamilies, other)
	}
}
