package resource

import (
	"encoding/json"
	"fmt"
	"regexp"
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
		nodeAnnotations(n.Annotations, atAnnotations),
		validateTaints(n.Spec.Taints, newPlace("metadata", "taints")),
		validateNodeResources(n),
		validateSwap(n.Status.NodeInfo.Swap, newPlace("metadata", "nodeSwapStatus", "capacity")),
		declaredFeatures(n.Status.DeclaredFeatures, newPlace("status", "declaredFeatures")),
		validatePodCIDRs(n.Spec.PodCIDRs, newPlace("spec", "podCIDRs")),
	)
}

func validateSwap(s *corev1.NodeSwapStatus, path *place) field.ErrorList {
	if s == nil || s.Capacity == nil {
		return nil
	}
	return when(*s.Capacity <= 0, invalidAt(path, *s.Capacity, "must be greater than zero"))
}

// validateNodeUpdate is for the node and for its status: whoever updates either may not break the other.
func validateNodeUpdate(next, old *corev1.Node) field.ErrorList {
	spec := newPlace("spec")
	return join(
		validateMetaUpdate(next, old),
		nodeAnnotations(next.Annotations, atAnnotations),
		validateNodeResources(next),
		declaredFeatures(next.Status.DeclaredFeatures, newPlace("status", "declaredFeatures")),
		validateNodeAddresses(next.Status.Addresses),
		when(len(old.Spec.PodCIDRs) > 0 && !slices.Equal(next.Spec.PodCIDRs, old.Spec.PodCIDRs),
			forbiddenAt(spec.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid")),
		providerID(next.Spec.ProviderID, old.Spec.ProviderID, spec.Child("providerID")),
		validateConfigSource(next.Spec.ConfigSource, spec.Child("configSource"), inSpec),
		validateConfigStatus(next.Status.Config),
		validateTaints(next.Spec.Taints, newPlace("metadata", "taints")),
		when(next.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID,
			forbiddenAt(spec.Child("externalID"), "may not be updated")),
	)
}

func validateNodeAddresses(addresses []corev1.NodeAddress) field.ErrorList {
	var errs field.ErrorList
	seen := map[corev1.NodeAddress]bool{}
	for i, a := range addresses {
		if seen[a] {
			errs = append(errs, duplicateGoAt(newPlace("status", "addresses").Index(i), a))
		}
		seen[a] = true
	}
	return errs
}

// providerID may be set once.
func providerID(next, old string, path *place) field.ErrorList {
	switch {
	case old == "" || next == old:
		return nil
	case next == "":
		return field.ErrorList{invalidAt[any](path, nil, "field cannot be cleared once set")}
	}
	return field.ErrorList{invalidAt[any](path, nil, "field cannot be modified once set")}
}

// nodeAnnotations validates those that once were fields.
func nodeAnnotations(annotations map[string]string, path *place) field.ErrorList {
	errs := avoidedPods(annotations, path)
	var taints []corev1.Taint
	if text := annotations[corev1.TaintsAnnotationKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &taints); err != nil {
			return append(errs, invalidAt(path, corev1.TaintsAnnotationKey, err.Error()))
		}
	}
	return append(errs, validateTaints(taints, path.Child(corev1.TaintsAnnotationKey))...)
}

// avoidedPods are named by their controllers.
func avoidedPods(annotations map[string]string, path *place) field.ErrorList {
	text := annotations[corev1.PreferAvoidPodsAnnotationKey]
	if text == "" {
		return nil
	}
	var avoid corev1.AvoidPods
	if err := json.Unmarshal([]byte(text), &avoid); err != nil {
		return field.ErrorList{invalidAt(path.Child("AvoidPods"), corev1.PreferAvoidPodsAnnotationKey, err.Error())}
	}
	return each(avoid.PreferAvoidPods, path.Child(corev1.PreferAvoidPodsAnnotationKey), func(p *corev1.PreferAvoidPodsEntry, path *place) field.ErrorList {
		path = path.Child("PodSignature")
		by := p.PodSignature.PodController
		if by == nil {
			return field.ErrorList{requiredAt(path, "")}
		}
		return when(!isTrue(by.Controller), invalidAt(path.Child("PodController", "Controller"), false, "must point to a controller"))
	})
}

var featureName = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)

// declaredFeatures are what the kubelet says it can do: names in order, each once.
func declaredFeatures(names []string, path *place) field.ErrorList {
	var errs field.ErrorList
	for i, name := range names {
		switch at := path.Index(i); {
		case len(name) > validation.DNS1123SubdomainMaxLength:
			errs = append(errs, invalidAt(at, name, fmt.Sprintf("invalid feature name %q: must be no more than %d characters", name, validation.DNS1123SubdomainMaxLength)))
		case !featureName.MatchString(name):
			errs = append(errs, invalidAt(at, name, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments "+
				"separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", name)))
		}
		if i+1 < len(names) {
			next, at := names[i+1], path.Index(i+1)
			errs = append(errs, when(name == next, duplicateAt(at, next))...)
			errs = append(errs, when(name > next, invalidAt(at, next, "list must be sorted alphabetically"))...)
		}
	}
	return errs
}

// validateTaints is given metadata.taints, which is wrong and is what every client is used to.
func validateTaints(taints []corev1.Taint, at *place) field.ErrorList {
	type pair struct {
		key    string
		effect corev1.TaintEffect
	}
	var errs field.ErrorList
	seen := map[pair]bool{}
	for i, t := range taints {
		path := at.Index(i)
		errs = append(errs, labelKey(t.Key, path.Child("key"))...)
		if bad := labelValueProblems(t.Value); len(bad) > 0 {
			errs = append(errs, invalidAt(path.Child("value"), t.Value, strings.Join(bad, ";")))
		}
		errs = append(errs, taintEffect(t.Effect, path.Child("effect"))...)
		if seen[pair{t.Key, t.Effect}] {
			twice := *duplicateGoAt(path, t)
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
	return errs
}
