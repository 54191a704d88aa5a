package resource

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The reason that marks a pod whose node no longer answers.
const nodeLostReason = "NodeLost"

func podColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PodSpec{}.SwaggerDoc(), corev1.PodStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
		column("Status", "The aggregate status of the containers in this pod."),
		column("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
		ageColumn,
		wide("IP", status["podIP"]),
		wide("Node", spec["nodeName"]),
		wide("Nominated Node", status["nominatedNodeName"]),
		wide("Readiness Gates", spec["readinessGates"]),
	}
}

func podCells(p *corev1.Pod, now time.Time) []any {
	s := summarize(p)
	return []any{
		p.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.reason, s.restarts.text(now), age(p, now),
		orNone(p.Status.PodIP), orNone(p.Spec.NodeName), orNone(p.Status.NominatedNodeName), readinessGates(p),
	}
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return "<none>"
	}
	passed := 0
	for _, g := range p.Spec.ReadinessGates {
		if conditionTrue(&p.Status, g.ConditionType) {
			passed++
		}
	}
	return fmt.Sprintf("%d/%d", passed, len(p.Spec.ReadinessGates))
}

func conditionTrue(s *corev1.PodStatus, t corev1.PodConditionType) bool {
	for _, c := range s.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podRowConditions tell clients which pods have come to their end.
func podRowConditions(p *corev1.Pod) []metav1.TableRowCondition {
	messages := map[corev1.PodPhase]string{
		corev1.PodSucceeded: "The pod has completed successfully.",
		corev1.PodFailed:    "The pod failed.",
	}
	m, ended := messages[p.Status.Phase]
	if !ended {
		return nil
	}
	return []metav1.TableRowCondition{{
		Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(p.Status.Phase), Message: m,
	}}
}

// restarts counts restarts and keeps when the last one was.
type restarts struct {
	count int32
	last  metav1.Time
}

func (r *restarts) add(c *corev1.ContainerStatus) {
	r.count += c.RestartCount
	if t := c.LastTerminationState.Terminated; t != nil && r.last.Before(&t.FinishedAt) {
		r.last = t.FinishedAt
	}
}

func (r restarts) text(now time.Time) string {
	if r.count == 0 || r.last.IsZero() {
		return strconv.Itoa(int(r.count))
	}
	return fmt.Sprintf("%d (%s ago)", r.count, since(r.last, now))
}

// summary is what one line says of a pod.
type summary struct {
	ready, total int
	reason       string
	restarts     restarts
}

// summarize condenses a pod into one line. What is said last wins: the phase, then the reason in the status, then
// what its init containers are at, or else what the first container with something to say is at, and over all of
// them that the pod is on its way out. While init containers run, their restarts count; after it only those of
// sidecars, which are init containers that stay, beside those of the containers.
func summarize(p *corev1.Pod) summary {
	s := summary{total: len(p.Spec.Containers), reason: podReason(p)}
	sidecar := map[string]bool{}
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; isSidecar(c) {
			sidecar[c.Name] = true
			s.total++
		}
	}
	initializing := s.addInit(p, sidecar)
	if !initializing || conditionTrue(&p.Status, corev1.PodInitialized) {
		s.addMain(p, sidecar)
	}
	switch {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == nodeLostReason:
		s.reason = "Unknown"
	case p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed:
		s.reason = "Terminating"
	}
	return s
}

func podReason(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			return corev1.PodReasonSchedulingGated
		}
	}
	if p.Status.Reason != "" {
		return p.Status.Reason
	}
	return string(p.Status.Phase)
}

// addInit goes over the init containers up to the first that is not done, and says whether there is one.
func (s *summary) addInit(p *corev1.Pod, sidecar map[string]bool) bool {
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.restarts.add(c)
		switch {
		case c.State.Terminated != nil && c.State.Terminated.ExitCode == 0:
			continue
		case sidecar[c.Name] && isTrue(c.Started):
			if c.Ready {
				s.ready++
			}
			continue
		case c.State.Terminated != nil:
			s.reason = "Init:" + terminatedReason(c.State.Terminated)
		case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
			s.reason = "Init:" + c.State.Waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// addMain goes over the containers from the last to the first, so that the first has the last word.
func (s *summary) addMain(p *corev1.Pod, sidecar map[string]bool) {
	s.restarts = restarts{}
	for i := range p.Status.InitContainerStatuses {
		if c := &p.Status.InitContainerStatuses[i]; sidecar[c.Name] {
			s.restarts.add(c)
		}
	}
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.restarts.add(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.reason = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.reason = terminatedReason(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason == "Completed" && running {
		s.reason = "NotReady"
		if conditionTrue(&p.Status, corev1.PodReady) {
			s.reason = "Running"
		}
	}
}

func terminatedReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}
