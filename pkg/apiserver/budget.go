package apiserver

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// What a disruption budget says of a pod, as decisions without I/O.

// covers is whether the budget is about the pod.
func covers(b *policyv1.PodDisruptionBudget, pod *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(pod.Labels))
}

// disrupted returns a copy of b with one disruption fewer to spare, and the pod among those that are on their way out.
func disrupted(b *policyv1.PodDisruptionBudget, pod string, now metav1.Time) (*policyv1.PodDisruptionBudget, error) {
	if err := refusal(b); err != nil {
		return nil, err
	}
	b = b.DeepCopy()
	if b.Status.DisruptionsAllowed--; b.Status.DisruptionsAllowed == 0 {
		meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
			Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
			ObservedGeneration: b.Status.ObservedGeneration, LastTransitionTime: now})
	}
	if b.Status.DisruptedPods == nil {
		b.Status.DisruptedPods = map[string]metav1.Time{}
	}
	b.Status.DisruptedPods[pod] = now
	return b, nil
}

// refusal is why the budget has no disruption to spare; nil if it has one.
func refusal(b *policyv1.PodDisruptionBudget) error {
	switch s := &b.Status; {
	case s.ObservedGeneration < b.Generation:
		return stillProcessing(b.Name)
	case s.DisruptionsAllowed < 0:
		const reason = "pdb disruptions allowed is negative"
		return overdrawn(b.Name, reason, reason)
	case len(s.DisruptedPods) > disruptedMost:
		return overdrawn(b.Name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
			"too many pending evictions not confirmed by PDB controller")
	case s.DisruptionsAllowed == 0:
		return tooDisruptive(0, exhausted(b))
	}
	return nil
}

// exhausted is why there are no disruptions. A failure comes first, for the numbers are not to be trusted then.
func exhausted(b *policyv1.PodDisruptionBudget) string {
	why := meta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	said := why != nil && why.Status == metav1.ConditionFalse && why.Message != ""
	none := fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name)
	switch {
	case said && why.Reason == policyv1.SyncFailedReason:
		return none + " because it failed sync: " + why.Message
	case b.Status.CurrentHealthy <= b.Status.DesiredHealthy:
		return fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy)
	case said:
		return fmt.Sprintf("%s (%s): %s", none, why.Reason, why.Message)
	}
	return none
}
