package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a pod says of where it wants to run.

func validSelector(s *metav1.LabelSelector, path *place) field.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path.path())
}

func validateAffinity(a *corev1.Affinity, path *place) field.ErrorList {
	return join(
		given(a.NodeAffinity, path.Child("nodeAffinity"), nodeAffinity),
		given(a.PodAffinity, path.Child("podAffinity"), func(p *corev1.PodAffinity, path *place) field.ErrorList {
			return podTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, path)
		}),
		given(a.PodAntiAffinity, path.Child("podAntiAffinity"), func(p *corev1.PodAntiAffinity, path *place) field.ErrorList {
			return podTerms(p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution, path)
		}),
	)
}

const requiredTerms, preferredTerms = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"

func nodeAffinity(a *corev1.NodeAffinity, path *place) field.ErrorList {
	return join(
		given(a.RequiredDuringSchedulingIgnoredDuringExecution, path.Child(requiredTerms), nodeSelector),
		each(a.PreferredDuringSchedulingIgnoredDuringExecution, path.Child(preferredTerms), func(t *corev1.PreferredSchedulingTerm, path *place) field.ErrorList {
			return append(weight(t.Weight, path.Child("weight")), nodeTerm(&t.Preference, false, path.Child("preference"))...)
		}))
}

func weight(w int32, path *place) field.ErrorList {
	return when(w <= 0 || w > 100, invalidAt(path, w, "must be in the range 1-100"))
}

func nodeSelector(s *corev1.NodeSelector, path *place) field.ErrorList {
	path = path.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		return field.ErrorList{requiredAt(path, "must have at least one node selector term")}
	}
	return each(s.NodeSelectorTerms, path, func(t *corev1.NodeSelectorTerm, path *place) field.ErrorList {
		return nodeTerm(t, true, path)
	})
}

// nodeTerm validates the values too if they are required: a preference for an impossible value does no harm.
func nodeTerm(t *corev1.NodeSelectorTerm, values bool, path *place) field.ErrorList {
	return join(
		each(t.MatchExpressions, path.Child("matchExpressions"), func(r *corev1.NodeSelectorRequirement, path *place) field.ErrorList {
			return nodeExpression(r, values, path)
		}),
		each(t.MatchFields, path.Child("matchFields"), nodeFieldExpression))
}

func nodeExpression(r *corev1.NodeSelectorRequirement, values bool, path *place) field.ErrorList {
	at := path.Child("values")
	var errs field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		errs = when(len(r.Values) == 0, requiredAt(at, "must be specified when `operator` is 'In' or 'NotIn'"))
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		errs = when(len(r.Values) > 0, forbiddenAt(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		errs = when(len(r.Values) != 1, requiredAt(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
	default:
		errs = field.ErrorList{invalidAt(path.Child("operator"), r.Operator, "not a valid selector operator")}
	}
	errs = append(errs, labelKey(r.Key, path.Child("key"))...)
	for i, v := range r.Values {
		if values {
			errs = append(errs, invalid(at.Index(i), v, labelValueProblems(v))...)
		}
	}
	return errs
}

func nodeFieldExpression(r *corev1.NodeSelectorRequirement, path *place) field.ErrorList {
	var errs field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		errs = when(len(r.Values) != 1, requiredAt(path.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
	default:
		errs = field.ErrorList{invalidAt(path.Child("operator"), r.Operator, "not a valid selector operator")}
	}
	if r.Key != metav1.ObjectNameField {
		return append(errs, invalidAt(path.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, v := range r.Values {
		errs = append(errs, invalid(path.Child("values").Index(i), v, subdomainName(v, false))...)
	}
	return errs
}

func podTerms(must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm, path *place) field.ErrorList {
	return join(
		each(must, path.Child(requiredTerms), podTerm),
		each(should, path.Child(preferredTerms), func(t *corev1.WeightedPodAffinityTerm, path *place) field.ErrorList {
			return append(weight(t.Weight, path.Child("weight")), podTerm(&t.PodAffinityTerm, path.Child("podAffinityTerm"))...)
		}))
}

func podTerm(t *corev1.PodAffinityTerm, path *place) field.ErrorList {
	errs := join(
		given(t.LabelSelector, path.Child("labelSelector"), validSelector),
		given(t.NamespaceSelector, path.Child("namespaceSelector"), validSelector))
	for _, n := range t.Namespaces {
		errs = append(errs, invalid(path.Child("namespace"), n, apivalidation.ValidateNamespaceName(n, false))...)
	}
	return join(errs, selectingKeys(t.MatchLabelKeys, t.MismatchLabelKeys, t.LabelSelector, path),
		when(t.TopologyKey == "", requiredAt(path.Child("topologyKey"), "can not be empty")),
		labelKey(t.TopologyKey, path.Child("topologyKey")))
}

// selectingKeys validates matchLabelKeys and mismatchLabelKeys. They have been merged into the selector by now, as
// expressions after those of the client, so a key that the selector has twice was in both.
func selectingKeys(match, mismatch []string, s *metav1.LabelSelector, path *place) field.ErrorList {
	errs := join(labelKeys(match, s, path.Child("matchLabelKeys")), labelKeys(mismatch, s, path.Child("mismatchLabelKeys")))
	index := map[string]int{}
	for i, k := range match {
		index[k] = i
	}
	for _, k := range selectedTwice(s) {
		if i, ok := index[k]; ok {
			errs = append(errs, invalidAt(path.Index(i), k, "exists in both matchLabelKeys and labelSelector"))
		}
	}
	for i, k := range match {
		errs = append(errs, when(slices.Contains(mismatch, k), invalidAt(path.Child("matchLabelKeys").Index(i), k, "exists in both matchLabelKeys and mismatchLabelKeys"))...)
	}
	return errs
}

// selectedTwice are the keys that a selector's expressions name although something before them did.
func selectedTwice(s *metav1.LabelSelector) []string {
	if s == nil {
		return nil
	}
	seen := taken{}
	for k := range s.MatchLabels {
		seen.claim(k)
	}
	var twice []string
	for _, e := range s.MatchExpressions {
		if !seen.claim(e.Key) {
			twice = append(twice, e.Key)
		}
	}
	return twice
}

func labelKeys(keys []string, s *metav1.LabelSelector, path *place) field.ErrorList {
	if len(keys) > 0 && s == nil {
		return field.ErrorList{forbiddenAt(path, "must not be specified when labelSelector is not set")}
	}
	return each(keys, path, func(k *string, path *place) field.ErrorList { return labelKey(*k, path) })
}

func validateTolerations(list []corev1.Toleration, path *place) field.ErrorList {
	return each(list, path, func(t *corev1.Toleration, path *place) field.ErrorList {
		var errs field.ErrorList
		if t.Key != "" {
			errs = labelKey(t.Key, path.Child("key"))
		}
		errs = join(errs,
			when(t.Key == "" && t.Operator != corev1.TolerationOpExists, invalidAt(path.Child("operator"), t.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\"")),
			when(t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute, invalidAt(path.Child("effect"), t.Effect,
				"effect must be 'NoExecute' when `tolerationSeconds` is set")),
			tolerationValue(t, path.Child("operator")))
		if t.Effect != "" {
			errs = append(errs, oneOf(t.Effect, path.Child("effect"),
				corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		}
		return errs
	})
}

func tolerationValue(t *corev1.Toleration, path *place) field.ErrorList {
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		problems := labelValueProblems(t.Value)
		return when(len(problems) > 0, invalidAt(path, t.Value, strings.Join(problems, ";")))
	case corev1.TolerationOpExists:
		return when(t.Value != "", invalidAt(path, t.Value, "value must be empty when `operator` is 'Exists'"))
	}
	known := []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}
	if t.Operator == corev1.TolerationOpLt || t.Operator == corev1.TolerationOpGt {
		known = append(known, corev1.TolerationOpLt, corev1.TolerationOpGt) // known, but of a feature that is off
	}
	return field.ErrorList{notSupportedAt(path, t.Operator, known)}
}

func validateSpreadConstraints(list []corev1.TopologySpreadConstraint, path *place) field.ErrorList {
	var all field.ErrorList
	for i := range list {
		t, at := &list[i], path.Index(i)
		all = append(all, spreadConstraint(t, at)...)
		for _, later := range list[i+1:] {
			if t.TopologyKey == later.TopologyKey && t.WhenUnsatisfiable == later.WhenUnsatisfiable {
				all = append(all, duplicateAt(at.Child("{topologyKey, whenUnsatisfiable}"), fmt.Sprintf("{%v, %v}", t.TopologyKey, t.WhenUnsatisfiable)))
				break
			}
		}
	}
	return all
}

func spreadConstraint(t *corev1.TopologySpreadConstraint, path *place) field.ErrorList {
	inclusion := func(p *corev1.NodeInclusionPolicy, path *place) field.ErrorList {
		return oneOf(*p, path, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	}
	return join(
		when(t.MaxSkew <= 0, invalidAt(path.Child("maxSkew"), t.MaxSkew, "must be greater than zero")),
		when(t.TopologyKey == "", requiredAt(path.Child("topologyKey"), "can not be empty")),
		oneOf(t.WhenUnsatisfiable, path.Child("whenUnsatisfiable"), corev1.DoNotSchedule, corev1.ScheduleAnyway),
		minDomains(t, path.Child("minDomains")),
		given(t.NodeAffinityPolicy, path.Child("nodeAffinityPolicy"), inclusion),
		given(t.NodeTaintsPolicy, path.Child("nodeTaintsPolicy"), inclusion),
		selectingKeys(t.MatchLabelKeys, nil, t.LabelSelector, path),
		given(t.LabelSelector, path.Child("labelSelector"), validSelector))
}

func minDomains(t *corev1.TopologySpreadConstraint, path *place) field.ErrorList {
	if t.MinDomains == nil {
		return nil
	}
	return join(
		when(*t.MinDomains <= 0, invalidAt(path, t.MinDomains, "must be greater than zero")),
		when(t.WhenUnsatisfiable != corev1.DoNotSchedule, invalidAt(path, t.MinDomains,
			fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, t.WhenUnsatisfiable))))
}

func validateSchedulingGates(list []corev1.PodSchedulingGate, path *place) field.ErrorList {
	names := taken{}
	return each(list, path, func(g *corev1.PodSchedulingGate, path *place) field.ErrorList {
		return append(qualifiedName(g.Name, path), when(!names.claim(g.Name), duplicateAt(path, g.Name))...)
	})
}
