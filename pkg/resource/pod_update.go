package resource

import (
	"fmt"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A pod is an order that a node has accepted: most of its spec cannot change. What can is checked field by field; then
// those fields are put back to what they were, and what differs still may not.

const immutableSpec = "pod updates may not change fields other than " +
	"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

func validatePodUpdate(next, old *corev1.Pod) field.ErrorList {
	path := newPlace("spec")
	errs := join(validateMetaUpdate(next, old), validatePod(next), changedPodAnnotations(next, old))
	for _, list := range []struct {
		name      string
		next, old []corev1.Container
	}{
		{"containers", next.Spec.Containers, old.Spec.Containers},
		{"initContainers", next.Spec.InitContainers, old.Spec.InitContainers},
	} {
		if len(list.next) != len(list.old) {
			return append(errs, forbiddenAt(path.Child(list.name), "pod updates may not add or remove containers"))
		}
		errs = append(errs, each(list.next, path.Child(list.name), changedImage)...)
	}
	deadline, stop := changedDeadline(next.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))
	errs = append(errs, deadline...)
	if stop {
		return errs
	}
	return join(errs,
		changedTolerations(next.Spec.Tolerations, old.Spec.Tolerations, path.Child("tolerations")),
		changedGates(next.Spec.SchedulingGates, old.Spec.SchedulingGates, path.Child("schedulingGates")),
		changedSpec(&next.Spec, &old.Spec, path))
}

func changedImage(c *corev1.Container, path *place) field.ErrorList {
	return append(present(c.Image, path.Child("image")), untrimmedImage(c, path)...)
}

// changedDeadline lets a deadline be set, or come nearer. stop says that nothing more should be said.
func changedDeadline(next, old *int64, path *place) (errs field.ErrorList, stop bool) {
	switch {
	case next == nil:
		return when(old != nil, invalidAt(path, next, "must not update from a positive integer to nil value")), false
	case *next < 0 || *next > math.MaxInt32:
		return field.ErrorList{invalidAt(path, *next, validation.InclusiveRangeError(0, math.MaxInt32))}, true
	case old != nil && *old < *next:
		return field.ErrorList{invalidAt(path, *next, "must be less than or equal to previous value")}, true
	}
	return nil, false
}

// changedTolerations lets tolerations be added, and how long they last be changed.
func changedTolerations(next, old []corev1.Toleration, path *place) field.ErrorList {
	kept := func(o corev1.Toleration) bool {
		for _, n := range next {
			o.TolerationSeconds = n.TolerationSeconds
			if same(o, n) {
				return true
			}
		}
		return false
	}
	for _, o := range old {
		if !kept(o) {
			return field.ErrorList{forbiddenAt(path, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return validateTolerations(next, path)
}

// changedGates lets gates be opened.
func changedGates(next, old []corev1.PodSchedulingGate, path *place) field.ErrorList {
	had := taken{}
	for _, g := range old {
		had.claim(g.Name)
	}
	return each(next, path, func(g *corev1.PodSchedulingGate, path *place) field.ErrorList {
		return when(!had[g.Name], forbiddenAt(path.Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name)))
	})
}

// changedSpec refuses what differs once the fields that may differ are put back. The lists of containers are of the
// same length.
func changedSpec(next, old *corev1.PodSpec, path *place) field.ErrorList {
	if same(next, old) {
		return nil
	}
	rest := next.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.Tolerations = old.Tolerations
	rest.SchedulingGates = old.SchedulingGates
	if g, was := rest.TerminationGracePeriodSeconds, old.TerminationGracePeriodSeconds; g != nil && *g == 1 && was != nil && *was < 0 {
		rest.TerminationGracePeriodSeconds = was
	}
	var errs field.ErrorList
	if len(old.SchedulingGates) > 0 {
		errs = changedWhileGated(rest, old, path)
	}
	if !same(rest, old) {
		errs = append(errs, forbiddenAt(path, immutableSpec+"\n"+diff.Diff(inGoNames{old}, inGoNames{rest})))
	}
	return errs
}

// changedWhileGated lets the choice of nodes be narrowed while no scheduler has looked at the pod, and puts it back.
func changedWhileGated(rest, old *corev1.PodSpec, path *place) field.ErrorList {
	var errs field.ErrorList
	for k, v := range old.NodeSelector {
		if have, ok := rest.NodeSelector[k]; !ok || have != v {
			errs = append(errs, invalidAt(path.Child("nodeSelector"), rest.NodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	rest.NodeSelector = old.NodeSelector
	next, was := nodeAffinityOf(rest), nodeAffinityOf(old)
	if same(next, was) {
		return errs
	}
	errs = append(errs, changedNodeAffinity(next, was, path.Child("affinity", "nodeAffinity"))...)
	switch {
	case rest.Affinity == nil:
		rest.Affinity = &corev1.Affinity{NodeAffinity: was}
	case old.Affinity == nil && rest.Affinity.PodAffinity == nil && rest.Affinity.PodAntiAffinity == nil:
		rest.Affinity = nil
	default:
		rest.Affinity.NodeAffinity = was
	}
	return errs
}

func nodeAffinityOf(s *corev1.PodSpec) *corev1.NodeAffinity {
	if s.Affinity == nil {
		return nil
	}
	return s.Affinity.NodeAffinity
}

func requiredNodeTerms(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// changedNodeAffinity: terms are alternatives, so another one would widen the choice; what one term demands adds up,
// so more demands narrow it.
func changedNodeAffinity(next, old *corev1.NodeAffinity, path *place) field.ErrorList {
	had, have := requiredNodeTerms(old), requiredNodeTerms(next)
	path = path.Child(requiredTerms, "nodeSelectorTerms")
	if len(had) == 0 {
		return nil
	}
	if len(had) != len(have) {
		return field.ErrorList{invalidAt(path, have, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var errs field.ErrorList
	for i := range had {
		empty := len(had[i].MatchExpressions) == 0 && len(had[i].MatchFields) == 0
		narrows := startsWith(have[i].MatchExpressions, had[i].MatchExpressions) && startsWith(have[i].MatchFields, had[i].MatchFields)
		if empty { // matches nothing, and must go on doing so
			narrows = len(have[i].MatchExpressions) == 0 && len(have[i].MatchFields) == 0
		}
		errs = append(errs, when(!narrows, invalidAt(path.Index(i), have[i], "only additions are allowed (no mutations or deletions)"))...)
	}
	return errs
}

func startsWith(list, head []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(head) && same(list[:len(head)], head)
}

// changedPodAnnotations: the annotations that a node has acted upon are fixed.
func changedPodAnnotations(next, old *corev1.Pod) field.ErrorList {
	path := newPlace("metadata", "annotations")
	var errs field.ErrorList
	for k, v := range sorted(old.Annotations) {
		if have, kept := next.Annotations[k]; kept && have == v {
			continue
		}
		errs = append(errs, fixedAnnotation(k, "may not remove or update", path)...)
	}
	for k := range sorted(next.Annotations) {
		if _, had := old.Annotations[k]; !had {
			errs = append(errs, fixedAnnotation(k, "may not add", path)...)
		}
	}
	return append(errs, validatePodAnnotations(next.Annotations, &next.Spec, path)...)
}

func fixedAnnotation(k, verb string, path *place) field.ErrorList {
	return join(
		when(strings.HasPrefix(k, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix), forbiddenAt(path.Key(k), verb+" AppArmor annotations")),
		when(k == corev1.MirrorPodAnnotationKey, forbiddenAt(path.Key(k), verb+" mirror pod annotation")))
}
