package status

import (
	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/plan"
)

// counts is a pod's containers by what they do.
type counts struct {
	// initFailed: an init container failed for good. initPending: one has not come to its end (a sidecar: to its start).
	initFailed, initPending bool
	sidecars                int
	// Of the containers: waiting for their first run, running, ended; of the ended: with 0, and those that start again.
	waiting, running, ended, succeeded, restarting int
}

func count(pod *corev1.Pod, s *corev1.PodStatus) (n counts) {
	for i := range pod.Spec.InitContainers {
		n.init(pod, &pod.Spec.InitContainers[i], &s.InitContainerStatuses[i])
	}
	for i := range pod.Spec.Containers {
		n.container(pod, &pod.Spec.Containers[i], &s.ContainerStatuses[i])
	}
	return n
}

func (n *counts) init(pod *corev1.Pod, c *corev1.Container, s *corev1.ContainerStatus) {
	if plan.Sidecar(c) {
		if s.State.Running != nil {
			n.sidecars++
		}
		n.initPending = n.initPending || s.Started == nil || !*s.Started
		return
	}
	t := s.State.Terminated
	if t == nil || t.ExitCode != 0 {
		n.initPending = true
	}
	if t != nil && t.ExitCode != 0 && !plan.Restarts(pod, c, t.ExitCode) {
		n.initFailed = true
	}
}

func (n *counts) container(pod *corev1.Pod, c *corev1.Container, s *corev1.ContainerStatus) {
	t := s.State.Terminated
	if t == nil && s.State.Running == nil {
		t = s.LastTerminationState.Terminated
	}
	switch {
	case s.State.Running != nil:
		n.running++
	case t == nil:
		n.waiting++
	default:
		n.ended++
		if t.ExitCode == 0 {
			n.succeeded++
		}
		if plan.Restarts(pod, c, t.ExitCode) {
			n.restarting++
		}
	}
}
