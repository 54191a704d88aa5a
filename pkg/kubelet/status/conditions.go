package status

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/kubelet/plan"
)

// owned are the conditions that the kubelet writes; all others belong to somebody else and stay.
var owned = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

// Owned tells whether a condition is the kubelet's.
func Owned(t corev1.PodConditionType) bool { return slices.Contains(owned, t) }

// conditions returns the kubelet's own in upstream's order, then the others. The time of one changes with its status only.
func (in *Input) conditions(s *corev1.PodStatus) []corev1.PodCondition {
	containers := in.containersReady(s)
	out := []corev1.PodCondition{
		in.readyToStart(), in.initialized(s), in.ready(s, containers), containers,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	for i := range out {
		out[i].ObservedGeneration = in.Pod.Generation
		out[i].LastTransitionTime = metav1.NewTime(in.Now).Rfc3339Copy()
		if old := condition(in.Pod.Status.Conditions, out[i].Type); old != nil && old.Status == out[i].Status {
			out[i].LastTransitionTime, out[i].LastProbeTime = old.LastTransitionTime, old.LastProbeTime
		}
	}
	for _, c := range in.Pod.Status.Conditions {
		if !Owned(c.Type) {
			out = append(out, c)
		}
	}
	return out
}

func condition(list []corev1.PodCondition, t corev1.PodConditionType) *corev1.PodCondition {
	if i := slices.IndexFunc(list, func(c corev1.PodCondition) bool { return c.Type == t }); i >= 0 {
		return &list[i]
	}
	return nil
}

func (in *Input) readyToStart() corev1.PodCondition {
	s := in.Runtime.ReadySandbox()
	ok := s != nil && (s.HostNetwork || len(s.IPs) > 0)
	return corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: truth(ok)}
}

func truth(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func (in *Input) initialized(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	var missing []string
	for i := range in.Pod.Spec.InitContainers {
		spec, st := &in.Pod.Spec.InitContainers[i], &s.InitContainerStatuses[i]
		ok := st.Ready
		if plan.Sidecar(spec) {
			ok = st.Started != nil && *st.Started
		}
		if !ok {
			missing = append(missing, st.Name)
		}
	}
	switch {
	case s.Phase == corev1.PodSucceeded:
		c.Reason = "PodCompleted"
	case len(missing) > 0 && !begun(s):
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %s", list(missing))
	}
	return c
}

// begun tells whether a container got as far as a first run: then the pod was initialized.
func begun(s *corev1.PodStatus) bool {
	return slices.ContainsFunc(s.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting == nil || c.LastTerminationState.Terminated != nil
	})
}

func (in *Input) containersReady(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}
	if in.final(s, &c) {
		return c
	}
	var unready []string
	for i, st := range s.InitContainerStatuses {
		if plan.Sidecar(&in.Pod.Spec.InitContainers[i]) && !st.Ready {
			unready = append(unready, st.Name)
		}
	}
	for _, st := range s.ContainerStatuses {
		if !st.Ready {
			unready = append(unready, st.Name)
		}
	}
	if len(unready) > 0 {
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotReady"
		c.Message = "containers with unready status: " + list(unready)
	}
	return c
}

// final sets what a readiness condition says of a pod that has come to its end.
func (in *Input) final(s *corev1.PodStatus, c *corev1.PodCondition) bool {
	switch s.Phase {
	case corev1.PodSucceeded:
		c.Status, c.Reason = corev1.ConditionFalse, "PodCompleted"
	case corev1.PodFailed:
		c.Status, c.Reason = corev1.ConditionFalse, "PodFailed"
	default:
		return false
	}
	return true
}

func (in *Input) ready(s *corev1.PodStatus, containers corev1.PodCondition) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReady, Status: containers.Status, Reason: containers.Reason, Message: containers.Message}
	if in.final(s, &c) || containers.Status != corev1.ConditionTrue {
		return c
	}
	var faults []string
	for _, g := range in.Pod.Spec.ReadinessGates {
		switch got := condition(in.Pod.Status.Conditions, g.ConditionType); {
		case got == nil:
			faults = append(faults, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", g.ConditionType))
		case got.Status != corev1.ConditionTrue:
			faults = append(faults, fmt.Sprintf("the status of pod readiness gate %q is not %q, but %v", g.ConditionType, "True", got.Status))
		}
	}
	if len(faults) > 0 {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ReadinessGatesNotReady", strings.Join(faults, ", ")
	}
	return c
}

func list(names []string) string { return "[" + strings.Join(names, " ") + "]" }
