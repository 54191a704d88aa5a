package resource

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// preparePodStatus keeps all but the status. A kubelet that does not know a field of the status sends it empty, so
// the QoS class, the claims and the observed generations are kept from old when next has none.
func preparePodStatus(next, old *corev1.Pod) {
	next.Spec = *old.Spec.DeepCopy()
	next.Generation = old.Generation
	next.DeletionTimestamp = old.DeletionTimestamp
	next.OwnerReferences = old.OwnerReferences
	if next.Status.QOSClass == "" {
		next.Status.QOSClass = old.Status.QOSClass
	}
	if next.Status.ResourceClaimStatuses == nil {
		next.Status.ResourceClaimStatuses = old.Status.ResourceClaimStatuses
	}
	if next.Status.ExtendedResourceClaimStatus == nil {
		next.Status.ExtendedResourceClaimStatus = old.Status.ExtendedResourceClaimStatus
	}
	keepObservedGenerations(next, old)
	dropOffStatus(&next.Status)
}

// keepObservedGenerations fills gaps in next from old. Conditions pair up by type and, as a type may occur more than
// once, by their order within the type.
func keepObservedGenerations(next, old *corev1.Pod) {
	if next.Status.ObservedGeneration == 0 {
		next.Status.ObservedGeneration = old.Status.ObservedGeneration
	}
	had := map[corev1.PodConditionType][]int64{}
	for _, c := range old.Status.Conditions {
		had[c.Type] = append(had[c.Type], c.ObservedGeneration)
	}
	for i := range next.Status.Conditions {
		c := &next.Status.Conditions[i]
		queue := had[c.Type]
		if len(queue) == 0 {
			continue
		}
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = queue[0]
		}
		had[c.Type] = queue[1:]
	}
}

// prepareEphemeralContainers keeps all but the ephemeral containers.
func prepareEphemeralContainers(next, old *corev1.Pod) {
	added := next.Spec.EphemeralContainers
	keepPodButSpec(next, old)
	next.Spec = *old.Spec.DeepCopy()
	next.Spec.EphemeralContainers = added
	dropOffFields(&next.Spec)
	bumpPodGeneration(next, old)
}

// preparePodResize keeps all but the resources of containers and pod. Where containers come, go or are renamed, which
// is not a resize, it leaves next alone for the validation to refuse.
func preparePodResize(next, old *corev1.Pod) {
	sent := next.Spec
	if sameContainerNames(sent.Containers, old.Spec.Containers) && sameContainerNames(sent.InitContainers, old.Spec.InitContainers) {
		keepPodButSpec(next, old)
		next.Spec = *old.Spec.DeepCopy()
		next.Spec.Resources = sent.Resources
		takeResources(next.Spec.Containers, sent.Containers)
		takeResources(next.Spec.InitContainers, sent.InitContainers)
	}
	keepPodResources(next, old)
	defaultPodResources(next)
	dropOffFields(&next.Spec)
	bumpPodGeneration(next, old)
}

// keepPodResources: a client that does not know the resources of a whole pod must not take them from it.
func keepPodResources(next, old *corev1.Pod) {
	if next.Spec.Resources == nil {
		next.Spec.Resources = old.Spec.Resources.DeepCopy()
	}
}

func keepPodButSpec(next, old *corev1.Pod) {
	next.Status = *old.Status.DeepCopy()
	metav1.ResetObjectMetaForStatus(&next.ObjectMeta, &old.ObjectMeta)
}

func sameContainerNames(a, b []corev1.Container) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name {
			return false
		}
	}
	return true
}

func takeResources(into, from []corev1.Container) {
	for i := range into {
		into[i].Resources = from[i].Resources
		into[i].ResizePolicy = from[i].ResizePolicy
	}
}

// mergeLabelKeys turns matchLabelKeys and mismatchLabelKeys into selector terms on the pod's own labels, once, at
// create: so that schedulers need to know of selectors only, and a later change of labels does not move the target.
func mergeLabelKeys(p *corev1.Pod) {
	for _, t := range affinityTerms(p.Spec.Affinity) {
		mergeKeys(t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
		mergeKeys(t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, p.Labels)
	}
	for _, c := range p.Spec.TopologySpreadConstraints {
		mergeKeys(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
	}
}

// affinityTerms are all the terms on other pods, wanted or unwanted, required or preferred.
func affinityTerms(a *corev1.Affinity) []*corev1.PodAffinityTerm {
	if a == nil {
		return nil
	}
	var terms []*corev1.PodAffinityTerm
	add := func(preferred []corev1.WeightedPodAffinityTerm, required []corev1.PodAffinityTerm) {
		for i := range preferred {
			terms = append(terms, &preferred[i].PodAffinityTerm)
		}
		for i := range required {
			terms = append(terms, &required[i])
		}
	}
	if w := a.PodAffinity; w != nil {
		add(w.PreferredDuringSchedulingIgnoredDuringExecution, w.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	if u := a.PodAntiAffinity; u != nil {
		add(u.PreferredDuringSchedulingIgnoredDuringExecution, u.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	return terms
}

// mergeKeys adds one term for each key that the labels have. A nil selector matches nothing and stays so.
func mergeKeys(s *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator, labels map[string]string) {
	if s == nil {
		return
	}
	for _, k := range keys {
		if v, ok := labels[k]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: k, Operator: op, Values: []string{v}})
		}
	}
}
