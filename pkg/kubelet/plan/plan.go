package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/cri"
)

// Make decides what to do for one pod now.
func Make(o Observed, now time.Time) Plan {
	p := planner{Observed: o, now: now}
	p.decide()
	return p.plan
}

type planner struct {
	Observed
	now     time.Time
	plan    Plan
	sandbox *cri.Sandbox
}

func (p *planner) decide() {
	if p.End != nil {
		p.end(p.End.Reason, p.End.Grace)
		return
	}
	if p.Volumes != "" {
		return
	}
	if p.finished() {
		p.plan.Finished = true
		return
	}
	if why := p.sandboxFault(); why != "" {
		p.newSandbox(why)
		return
	}
	p.sandbox = p.Runtime.ReadySandbox()
	p.ephemeral()
	if p.inits() {
		p.containers()
	}
	p.tidy()
}

// end stops everything: the containers together, then the sidecars one by one, the last to start first, so that
// they serve the containers to their end; then the sandboxes. The grace period is one for all.
func (p *planner) end(reason string, grace time.Duration) {
	p.plan.Stop = p.stages(reason, grace, nil)
	for _, s := range p.Runtime.Sandboxes {
		if s.Ready {
			p.plan.StopSandboxes = append(p.plan.StopSandboxes, s.ID)
		}
	}
	p.plan.Done = !p.plan.Acts()
}

// stages groups the running containers for stopping; keep, if not nil, says which to leave alone.
func (p *planner) stages(reason string, grace time.Duration, keep func(*cri.Container) bool) [][]Stop {
	var first []Stop
	sidecars := map[string][]Stop{}
	for _, c := range p.Runtime.Containers {
		if c.State != cri.Running && c.State != cri.Unknown || keep != nil && keep(c) {
			continue
		}
		s := Stop{Name: c.Name, ID: c.ID, Reason: reason, Event: "Stopping container " + c.Name, Grace: grace}
		if p.isSidecar(c.Name) {
			sidecars[c.Name] = append(sidecars[c.Name], s)
		} else {
			first = append(first, s)
		}
	}
	var out [][]Stop
	if len(first) > 0 {
		out = append(out, first)
	}
	if p.Pod != nil {
		for i := range slices.Backward(p.Pod.Spec.InitContainers) {
			if s := sidecars[p.Pod.Spec.InitContainers[i].Name]; s != nil {
				out = append(out, s)
			}
		}
	}
	return out
}

func (p *planner) isSidecar(name string) bool {
	return p.Pod != nil && slices.ContainsFunc(p.Pod.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == name && Sidecar(&c)
	})
}

// Sidecar tells whether an init container runs beside the containers instead of before them.
func Sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// finished tells whether the pod has come to its end by itself: an init container failed for good, or every
// container ended and none is to be started again.
func (p *planner) finished() bool {
	for i := range p.Pod.Spec.InitContainers {
		c := &p.Pod.Spec.InitContainers[i]
		run := p.Runtime.Current(c.Name)
		if !Sidecar(c) && run != nil && run.State == cri.Exited && run.ExitCode != 0 && !Restarts(p.Pod, c, run.ExitCode) {
			return true
		}
	}
	for i := range p.Pod.Spec.Containers {
		c := &p.Pod.Spec.Containers[i]
		run := p.Runtime.Current(c.Name)
		if run == nil || run.State != cri.Exited || Restarts(p.Pod, c, run.ExitCode) {
			return false
		}
	}
	return len(p.Pod.Spec.Containers) > 0
}

// Restarts tells whether a container that ended with that code is started again: its own rules first, then its
// own policy, then the pod's. An init container that is no sidecar is never started again after success.
func Restarts(pod *corev1.Pod, c *corev1.Container, code int32) bool {
	for _, r := range c.RestartPolicyRules {
		if r.ExitCodes == nil || r.Action != corev1.ContainerRestartRuleActionRestart {
			continue
		}
		in := slices.Contains(r.ExitCodes.Values, code)
		if in == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

// sandboxFault says what is wrong with the pod's sandbox, "" if nothing.
func (p *planner) sandboxFault() string {
	if len(p.Runtime.Sandboxes) == 0 {
		return "the pod has no sandbox"
	}
	newest, ready := p.Runtime.Sandboxes[0], 0
	for _, s := range p.Runtime.Sandboxes {
		if s.Ready {
			ready++
		}
	}
	switch {
	case !newest.Ready:
		return "the sandbox is dead"
	case ready > 1:
		return fmt.Sprintf("%d sandboxes are ready", ready)
	case newest.HostNetwork != p.Pod.Spec.HostNetwork:
		return "the sandbox has another network namespace than the pod asks for"
	case !newest.HostNetwork && len(newest.IPs) == 0:
		return "the sandbox has no address"
	}
	return ""
}

func (p *planner) newSandbox(why string) {
	p.pullFirst()
	p.plan.Stop = p.stages(why, p.grace(), nil)
	for _, s := range p.Runtime.Sandboxes {
		if s.Ready {
			p.plan.StopSandboxes = append(p.plan.StopSandboxes, s.ID)
		}
	}
	if p.now.Before(p.SandboxRetry) {
		p.plan.again(p.SandboxRetry)
		return
	}
	p.plan.Sandbox = &NewSandbox{Reason: why}
	if len(p.Runtime.Sandboxes) > 0 {
		p.plan.Sandbox.Changed = true
		p.plan.Sandbox.Attempt = p.Runtime.Sandboxes[0].Attempt + 1
	}
}

// pullFirst asks for the images that a fresh sandbox needs first, so that they arrive while it is made.
func (p *planner) pullFirst() {
	first := p.Pod.Spec.Containers
	if len(p.Pod.Spec.InitContainers) > 0 {
		first = p.Pod.Spec.InitContainers[:1]
	}
	for i := range first {
		if run := p.Runtime.Current(first[i].Name); run == nil {
			p.image(&first[i], "needed as soon as the sandbox is there")
		}
	}
}

func (p *planner) grace() time.Duration {
	if s := p.Pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second
}
