package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// The addresses of a Service are told four times: clusterIP, from when there was one; clusterIPs, up to one of each
// family; ipFamilies, the family of each; ipFamilyPolicy, how many are wished for. This file keeps them consistent.

// ServiceIPFaults is what is wrong with the addresses of a service before any is allocated, which is asked twice: whoever allocates
// asks first.
func ServiceIPFaults(s *corev1.Service) field.ErrorList { return validateServiceIPs(s) }

func validateServiceIPs(s *corev1.Service) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil // has none, which validateOfType sees to
	}
	spec := newPlace("spec")
	ips := spec.Child("clusterIPs")
	errs := join(
		validateFirstIP(s, ips),
		validateFamilies(s.Spec.IPFamilies, spec.Child("ipFamilies")),
		given(s.Spec.IPFamilyPolicy, spec.Child("ipFamilyPolicy"), func(p *corev1.IPFamilyPolicy, path *place) field.ErrorList {
			return oneOf(*p, path, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)
		}),
	)
	bad := validateEachIP(s.Spec.ClusterIPs, ips)
	errs = append(errs, bad...)
	errs = append(errs, when(len(s.Spec.ClusterIPs) > 2, invalidAt(ips, s.Spec.ClusterIPs, "may only hold up to 2 values"))...)
	if len(bad) > 0 {
		return errs // of what is no address, nothing can be said about its family
	}
	return join(errs, validateDualStack(s.Spec.ClusterIPs, ips), validateIPFamilies(s, ips))
}

// validateFirstIP wants clusterIP to be the first of clusterIPs.
func validateFirstIP(s *corev1.Service, ips *place) field.ErrorList {
	ip, all := s.Spec.ClusterIP, s.Spec.ClusterIPs
	switch {
	case ip == "" && len(all) > 0:
		return field.ErrorList{invalidAt(ips, all, "must be empty when `clusterIP` is not specified")}
	case ip != "" && len(all) == 0:
		return field.ErrorList{requiredAt(ips, "")}
	case ip != "" && all[0] != ip:
		return field.ErrorList{invalidAt(ips, all, "first value must match `clusterIP`")}
	}
	return nil
}

func validateFamilies(families []corev1.IPFamily, path *place) field.ErrorList {
	seen := taken{}
	return each(families, path, func(f *corev1.IPFamily, path *place) field.ErrorList {
		return join(
			oneOf(*f, path, corev1.IPv4Protocol, corev1.IPv6Protocol),
			when(!seen.claim(string(*f)), duplicateAt(path, *f)),
		)
	})
}

func validateEachIP(ips []string, path *place) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		if i == 0 && ip == corev1.ClusterIPNone {
			errs = append(errs, when(len(ips) > 1, invalidAt(path, ips, "'None' must be the first and only value"))...)
			continue
		}
		errs = append(errs, validation.IsValidIPForLegacyField(path.Index(i).path(), ip, true, nil)...)
	}
	return errs
}

func validateDualStack(ips []string, path *place) field.ErrorList {
	if len(ips) < 2 {
		return nil
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		return field.ErrorList{internalErrorAt(path, fmt.Errorf("failed to check for dual stack with error:%v", err))}
	}
	return when(!dual, invalidAt(path, ips, "may specify no more than one IP for each IP family"))
}

// validateIPFamilies wants each address to be of the family that stands at its place.
func validateIPFamilies(s *corev1.Service, path *place) field.ErrorList {
	if isHeadless(s) {
		return nil
	}
	var errs field.ErrorList
	for i := range min(len(s.Spec.ClusterIPs), len(s.Spec.IPFamilies)) {
		ip, family := s.Spec.ClusterIPs[i], s.Spec.IPFamilies[i]
		if netutils.IsIPv6String(ip) != (family == corev1.IPv6Protocol) {
			errs = append(errs, invalidAt(path.Index(i), ip,
				fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", family, i)))
		}
	}
	return errs
}

// validateIPChange lets a Service gain or lose its second address, and nothing else, as long as it has addresses.
func validateIPChange(next, old *corev1.Service) field.ErrorList {
	if next.Spec.Type == corev1.ServiceTypeExternalName || old.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	wasHeadless, headless := isHeadless(old), isHeadless(next)
	var errs field.ErrorList
	if !wasHeadless || !headless {
		errs = clusterIPChange(next, old)
	}
	if !wasHeadless && !headless {
		errs = append(errs, familyChange(next, old)...)
	}
	return errs
}

func clusterIPChange(next, old *corev1.Service) field.ErrorList {
	n, o, path := next.Spec.ClusterIPs, old.Spec.ClusterIPs, newPlace("spec", "clusterIPs")
	var errs field.ErrorList
	if len(n) == 0 && len(o) > 0 {
		return field.ErrorList{invalidAt(path.Index(0), n, "primary clusterIP can not be unset")}
	}
	for i := range changeable(len(n), len(o)) {
		errs = append(errs, when(n[i] != o[i], invalidAt(path.Index(i), n, "may not change once set"))...)
	}
	if len(n) == 1 && len(o) > 1 {
		errs = append(errs, releasedSecond(next, "secondary clusterIP")...)
	}
	return errs
}

func familyChange(next, old *corev1.Service) field.ErrorList {
	n, o, path := next.Spec.IPFamilies, old.Spec.IPFamilies, newPlace("spec", "ipFamilies").Index(0)
	var errs field.ErrorList
	errs = append(errs, when(len(n) < len(o) && len(next.Spec.ClusterIPs) == 0,
		invalidAt(path, n, "primary ipFamily can not be unset"))...)
	for i := range changeable(len(n), len(o)) {
		errs = append(errs, when(n[i] != o[i], invalidAt(path, n, "may not change once set"))...)
	}
	if len(n) == 1 && len(o) > 1 {
		errs = append(errs, releasedSecond(next, "secondary ipFamily")...)
	}
	return errs
}

// changeable is how many of the first places are compared: all if as many as before, only the first if one came or went.
func changeable(next, old int) int {
	if next == old {
		return next
	}
	return min(next, old, 1)
}

// releasedSecond wants whoever gives up the second address to say so.
func releasedSecond(s *corev1.Service, what string) field.ErrorList {
	policy := s.Spec.IPFamilyPolicy
	return when(policy == nil || *policy != corev1.IPFamilyPolicySingleStack, invalidAt(
		newPlace("spec", "ipFamilyPolicy"), policy, "must be set to 'SingleStack' when releasing the "+what))
}
