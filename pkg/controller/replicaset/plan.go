package replicaset

import (
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
)

// burst bounds what one plan creates or deletes.
const burst = 500

// state is all that a plan depends on, besides the time.
type state struct {
	set *appsv1.ReplicaSet
	// pods are those controlled by the set and those of the namespace that nobody controls.
	pods []*corev1.Pod
	// beside are the pods of the other ReplicaSets with the same controller.
	beside  []*corev1.Pod
	failure *reconcile.Failure
}

var gvk = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// plan writes down what is, then does something about the difference to what should be.
func plan(s state, now time.Time) reconcile.Plan {
	var p reconcile.Plan
	selector, err := metav1.LabelSelectorAsSelector(s.set.Spec.Selector)
	if err != nil || selector.Empty() {
		return nil // validation does not let it in
	}
	mine, adopting := reconcile.Claim(&p, s.set, gvk, selector, s.pods)
	if adopting {
		return p
	}
	active, terminating := sort(mine)
	missing := int(*s.set.Spec.Replicas) - len(active)
	next := s.set.DeepCopy()
	next.Status = status(s, active, terminating, now)
	p.UpdateStatus(s.set, next, "%d of %d replicas exist, %d ready, %d available",
		len(active), *s.set.Spec.Replicas, next.Status.ReadyReplicas, next.Status.AvailableReplicas)
	switch {
	case s.set.DeletionTimestamp != nil:
	case missing > 0:
		create(&p, s.set, min(missing, burst), len(active))
	case missing < 0:
		remove(&p, s, active, min(-missing, burst), now)
	}
	awaitAvailable(&p, s.set, active, now)
	return p
}

// sort separates the pods that count from those on their way out. The finished are neither.
func sort(pods []*corev1.Pod) (active, terminating []*corev1.Pod) {
	for _, pod := range pods {
		switch {
		case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		case pod.DeletionTimestamp != nil:
			terminating = append(terminating, pod)
		default:
			active = append(active, pod)
		}
	}
	return active, terminating
}

func create(p *reconcile.Plan, set *appsv1.ReplicaSet, n, have int) {
	for i := range n {
		a := p.Create(newPod(set), "%d replicas are wanted, this is number %d", *set.Spec.Replicas, have+i+1)
		a.Done = note(set, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %s")
		a.Failed = note(set, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v")
	}
}

func remove(p *reconcile.Plan, s state, active []*corev1.Pod, n int, now time.Time) {
	for _, v := range victims(active, s.beside, n, now) {
		a := p.Delete(v.Pod, "%d replicas are wanted, %d exist; %s", *s.set.Spec.Replicas, len(active), v.why)
		a.Done = note(s.set, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %s")
		a.Failed = note(s.set, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v")
	}
}

func note(set *appsv1.ReplicaSet, kind, reason, message string) *reconcile.Note {
	return &reconcile.Note{About: set, Type: kind, Reason: reason, Message: message}
}

// newPod is a pod of the set's template.
func newPod(set *appsv1.ReplicaSet) *corev1.Pod {
	t := set.Spec.Template.DeepCopy()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    set.Name + "-",
			Namespace:       set.Namespace,
			Labels:          maps.Clone(t.Labels),
			Annotations:     maps.Clone(t.Annotations),
			Finalizers:      t.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, gvk)},
		},
		Spec: t.Spec,
	}
}

// awaitAvailable asks for a look when the next pod will have been ready for long enough, because that is an event that
// nobody sends.
func awaitAvailable(p *reconcile.Plan, set *appsv1.ReplicaSet, active []*corev1.Pod, now time.Time) {
	var soonest time.Duration
	for _, pod := range active {
		since, ready := readySince(pod)
		left := since.Add(minReady(set)).Sub(now)
		if ready && left > 0 && (soonest == 0 || left < soonest) {
			soonest = left
		}
	}
	if soonest > 0 {
		p.Wait(soonest, "then a pod has been ready for minReadySeconds (%d) and counts as available", set.Spec.MinReadySeconds)
	}
}

func minReady(set *appsv1.ReplicaSet) time.Duration {
	return time.Duration(set.Spec.MinReadySeconds) * time.Second
}

// status is what was counted.
func status(s state, active, terminating []*corev1.Pod, now time.Time) appsv1.ReplicaSetStatus {
	gone := int32(len(terminating))
	next := appsv1.ReplicaSetStatus{
		Replicas:            int32(len(active)),
		TerminatingReplicas: &gone,
		ObservedGeneration:  s.set.Generation,
		Conditions:          conditions(s, now),
	}
	for _, pod := range active {
		if contains(pod.Labels, s.set.Spec.Template.Labels) {
			next.FullyLabeledReplicas++
		}
		since, ready := readySince(pod)
		if !ready {
			continue
		}
		next.ReadyReplicas++
		if !now.Before(since.Add(minReady(s.set))) {
			next.AvailableReplicas++
		}
	}
	return next
}

func contains(all, some map[string]string) bool {
	for k, v := range some {
		if got, ok := all[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// conditions has ReplicaFailure while the last attempt to make or remove a pod has failed. It keeps the first message: one that
// changed with every attempt would be a write with every attempt.
func conditions(s state, now time.Time) []appsv1.ReplicaSetCondition {
	var keep []appsv1.ReplicaSetCondition
	var failed *appsv1.ReplicaSetCondition
	for i, c := range s.set.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure {
			failed = &s.set.Status.Conditions[i]
			continue
		}
		keep = append(keep, c)
	}
	reason, err := failedPod(s.failure)
	switch {
	case s.failure == nil:
		return keep
	case err != nil && failed == nil:
		failed = &appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
			LastTransitionTime: metav1.NewTime(now), Reason: reason, Message: err.Error(),
		}
	}
	if failed != nil {
		keep = append(keep, *failed)
	}
	return keep
}

func failedPod(f *reconcile.Failure) (reason string, err error) {
	if err := reconcile.FailedTo[*corev1.Pod](f, reconcile.Create); err != nil {
		return "FailedCreate", err
	}
	return "FailedDelete", reconcile.FailedTo[*corev1.Pod](f, reconcile.Delete)
}

// readySince is when the pod became ready, if it is.
func readySince(pod *corev1.Pod) (time.Time, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time, true
		}
	}
	return time.Time{}, false
}
