package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

func validateNode(n *corev1.Node) field.ErrorList {
	return join(
		validateMeta(n, false, subdomainName),
		validateTaints(n.Spec.Taints),
		validateNodeResources(n),
		validatePodCIDRs(n.Spec.PodCIDRs, newPlace("spec", "podCIDRs")),
	)
}

// validateNodeUpdate is for the node and for its status: whoever updates either may not break the other.
func validateNodeUpdate(next, old *corev1.Node) field.ErrorList {
	spec := newPlace("spec")
	const once = "node updates may not change %s except from \"\" to valid"
	return join(
		validateMetaUpdate(next, old),
		validateNodeResources(next),
		validateNodeAddresses(next.Status.Addresses),
		when(len(old.Spec.PodCIDRs) > 0 && !slices.Equal(next.Spec.PodCIDRs, old.Spec.PodCIDRs),
			forbiddenAt(spec.Child("podCIDRs"), fmt.Sprintf(once, "podCIDR"))),
		when(old.Spec.ProviderID != "" && old.Spec.ProviderID != next.Spec.ProviderID,
			forbiddenAt(spec.Child("providerID"), fmt.Sprintf(once, "providerID"))),
		validateConfigSource(next.Spec.ConfigSource, spec.Child("configSource"), inSpec),
		validateConfigStatus(next.Status.Config),
		validateTaints(next.Spec.Taints),
		when(next.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID,
			forbiddenAt(spec.Child("externalID"), "may not be updated")),
	)
}

func validateNodeAddresses(addresses []corev1.NodeAddress) field.ErrorList {
	var errs field.ErrorList
	seen := map[corev1.NodeAddress]bool{}
	for i, a := range addresses {
		if seen[a] {
			errs = append(errs, duplicateAt(newPlace("status", "addresses").Index(i), a))
		}
		seen[a] = true
	}
	return errs
}

// validateTaints reports at metadata.taints, which is wrong and is what every client is used to.
func validateTaints(taints []corev1.Taint) field.ErrorList {
	type pair struct {
		key    string
		effect corev1.TaintEffect
	}
	var errs field.ErrorList
	seen := map[pair]bool{}
	for i, t := range taints {
		path := newPlace("metadata", "taints").Index(i)
		errs = append(errs, labelKey(t.Key, path.Child("key"))...)
		if bad := labelValueProblems(t.Value); len(bad) > 0 {
			errs = append(errs, invalidAt(path.Child("value"), t.Value, strings.Join(bad, ";")))
		}
		errs = append(errs, taintEffect(t.Effect, path.Child("effect"))...)
		if seen[pair{t.Key, t.Effect}] {
			twice := *duplicateAt(path, t)
			twice.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, &twice)
		}
		seen[pair{t.Key, t.Effect}] = true
	}
	return errs
}

func taintEffect(effect corev1.TaintEffect, path *place) field.ErrorList {
	return presentOneOf(effect, path, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

func validateNodeResources(n *corev1.Node) field.ErrorList {
	return join(
		nodeQuantities(n.Status.Capacity, newPlace("status", "capacity")),
		nodeQuantities(n.Status.Allocatable, newPlace("status", "allocatable")),
	)
}

func nodeQuantities(list corev1.ResourceList, path *place) field.ErrorList {
	var errs field.ErrorList
	for name, q := range sorted(list) {
		at := path.Child(string(name))
		if q.Cmp(resource.Quantity{}) < 0 {
			errs = append(errs, invalidAt(at, q.String(), apivalidation.IsNegativeErrorMsg))
		}
		if countedWhole(name) && q.MilliValue()%1000 != 0 {
			errs = append(errs, invalidAt(at, q, "must be an integer"))
		}
	}
	return errs
}

// countedWhole says whether a resource of a node has no fractions: pods, and what device plugins offer.
func countedWhole(name corev1.ResourceName) bool {
	if name == corev1.ResourcePods {
		return true
	}
	native := !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
	return !native && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
}

func validatePodCIDRs(cidrs []string, path *place) field.ErrorList {
	var errs field.ErrorList
	for i, c := range cidrs {
		errs = append(errs, validation.IsValidCIDRForLegacyField(path.Index(i).path(), c, true, nil)...)
	}
	if len(cidrs) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackCIDRStrings(cidrs)
	if err != nil {
		errs = append(errs, internalErrorAt(path, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%v", err)))
	}
	if !dual || len(cidrs) > 2 {
		errs = append(errs, invalidAt(path, cidrs, "may specify no more than one CIDR for each IP family"))
	}
	seen := taken{}
	for i, c := range cidrs {
		errs = append(errs, when(!seen.claim(c), duplicateAt(path.Index(i), c))...)
	}
	return errs
}
