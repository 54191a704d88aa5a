package plan

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/cri"
)

// inits plans the init containers and tells whether the containers may run.
func (p *planner) inits() bool {
	begun := p.begun()
	for i := range p.Pod.Spec.InitContainers {
		c := &p.Pod.Spec.InitContainers[i]
		if Sidecar(c) {
			if !p.sidecar(c) && !begun {
				return false
			}
			continue
		}
		// Once the containers have begun, what came before them is history, even if its records were removed.
		if !begun && !p.init(c) {
			return false
		}
	}
	return true
}

// begun tells whether a container of the pod was made in the present sandbox: init containers are behind it.
func (p *planner) begun() bool {
	for i := range p.Pod.Spec.Containers {
		if p.inSandbox(p.Pod.Spec.Containers[i].Name) != nil {
			return true
		}
	}
	return false
}

// inSandbox returns the newest run of that container in the present sandbox.
func (p *planner) inSandbox(name string) *cri.Container {
	if run := p.Runtime.Current(name); run != nil && run.SandboxID == p.sandbox.ID {
		return run
	}
	return nil
}

// init plans an ordinary init container and tells whether it has succeeded.
func (p *planner) init(c *corev1.Container) bool {
	run := p.Runtime.Current(c.Name)
	here := p.inSandbox(c.Name) != nil
	switch {
	case run == nil, !here && run.State == cri.Exited:
		p.start(c, "the init container is next")
	case here && run.State == cri.Running:
	case run.State == cri.Exited && run.ExitCode == 0:
		return true
	case run.State == cri.Exited:
		p.restart(c, run, fmt.Sprintf("the init container failed with exit code %d", run.ExitCode))
	default:
		p.replace(c, run)
	}
	return false
}

// sidecar plans an init container that goes on running and tells whether it has started.
func (p *planner) sidecar(c *corev1.Container) bool {
	p.container(c, "the sidecar is next")
	run := p.inSandbox(c.Name)
	if run == nil || run.State != cri.Running {
		return false
	}
	probes := p.Containers[c.Name].Probes
	return c.StartupProbe == nil || probes.ID == run.ID && probes.Started
}

func (p *planner) containers() {
	for i := range p.Pod.Spec.Containers {
		p.container(&p.Pod.Spec.Containers[i], "the pod is initialized")
	}
}

// ephemeral containers are started once, whatever the rest does, and never again.
func (p *planner) ephemeral() {
	for i := range p.Pod.Spec.EphemeralContainers {
		c := corev1.Container(p.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if p.Runtime.Current(c.Name) == nil {
			p.start(&c, "a new ephemeral container")
		}
	}
}

// container plans one that should go on running.
func (p *planner) container(c *corev1.Container, first string) {
	run := p.Runtime.Current(c.Name)
	switch {
	case run == nil:
		p.start(c, first)
	case run.State == cri.Exited:
		if Restarts(p.Pod, c, run.ExitCode) {
			p.restart(c, run, fmt.Sprintf("it ended with exit code %d", run.ExitCode))
		}
	case run.State == cri.Running && run.SandboxID == p.sandbox.ID:
		p.running(c, run)
	default:
		p.replace(c, run)
	}
}

// running stops a container that must not go on as it is. Whether it starts again is decided when it has ended.
func (p *planner) running(c *corev1.Container, run *cri.Container) {
	probes := p.Containers[c.Name].Probes
	switch {
	case run.Hash != "" && run.Hash != Hash(c):
		p.stop(c, run, "its definition changed", fmt.Sprintf("Container %s definition changed", c.Name), p.grace())
	case probes.ID == run.ID && probes.Failed != "":
		grace := p.grace()
		if probes.Grace != nil {
			grace = time.Duration(*probes.Grace) * time.Second
		}
		p.stop(c, run, "its "+probes.Failed+" probe failed", fmt.Sprintf("Container %s failed %s probe", c.Name, probes.Failed), grace)
	}
}

func (p *planner) stop(c *corev1.Container, run *cri.Container, reason, event string, grace time.Duration) {
	if Restarts(p.Pod, c, 137) {
		event += ", will be restarted"
	}
	p.plan.Stop = append(p.plan.Stop, []Stop{{Name: c.Name, ID: run.ID, Reason: reason, Event: event, Grace: grace}})
}

// replace deals with a container that was made and never started, or that the runtime lost track of: it is
// stopped (which for the former does nothing), and the next run takes its place.
func (p *planner) replace(c *corev1.Container, run *cri.Container) {
	if run.State != cri.Created {
		p.plan.Stop = append(p.plan.Stop, []Stop{{Name: c.Name, ID: run.ID, Reason: "its state is " + run.State.String(),
			Event: "Stopping container " + c.Name, Grace: p.grace()}})
		return
	}
	p.start(c, "it was made and never started")
}

// restart starts a container again unless its back-off says to wait. An end that is still to come is no reason to
// wait: the clock was set back.
func (p *planner) restart(c *corev1.Container, run *cri.Container, reason string) {
	delay := p.Containers[c.Name].BackOff
	if until := run.FinishedAt.Add(delay); p.now.Before(until) && !p.now.Before(run.FinishedAt) {
		p.plan.again(until)
		p.plan.Waiting = append(p.plan.Waiting, Waiting{
			Name: c.Name, Reason: "CrashLoopBackOff", Event: true,
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", delay, c.Name, p.Pod.Name, p.Pod.Namespace, p.Pod.UID),
		})
		return
	}
	p.start(c, reason)
}

// start starts a container once its image is there and no earlier failure asks to wait.
func (p *planner) start(c *corev1.Container, reason string) {
	if f := p.Containers[c.Name].Failure; f != nil && p.now.Before(f.Retry) {
		p.plan.again(f.Retry)
		p.plan.Waiting = append(p.plan.Waiting, Waiting{Name: c.Name, Reason: f.Reason, Message: f.Message})
		return
	}
	ref := p.image(c, reason)
	if ref == "" {
		return
	}
	restarts := int32(0)
	if last := p.Runtime.Current(c.Name); last != nil {
		restarts = last.RestartCount + 1
	}
	p.plan.Start = append(p.plan.Start, Start{Name: c.Name, RestartCount: restarts, SandboxID: p.sandbox.ID, ImageRef: ref, Reason: reason})
}

// image returns the reference of the container's image, or "" and plans to get it.
func (p *planner) image(c *corev1.Container, reason string) string {
	img := p.Containers[c.Name].Image
	switch f := img.Failure; {
	case img.Ref != "":
		return img.Ref
	case img.Fetching:
	case f != nil && p.now.Before(f.Retry):
		p.plan.again(f.Retry)
		p.plan.Waiting = append(p.plan.Waiting, Waiting{Name: c.Name, Reason: f.Reason, Message: f.Message})
	default:
		p.plan.Pull = append(p.plan.Pull, Pull{Name: c.Name, Reason: reason})
	}
	return ""
}

// keepRuns is how many runs of a container are kept: the present one, and the last for its logs and lastState.
const keepRuns = 2

// tidy removes older runs, and dead sandboxes that no container is left of.
func (p *planner) tidy() {
	seen := map[string]int{}
	used := map[string]bool{p.sandbox.ID: true}
	for _, c := range p.Runtime.Containers {
		seen[c.Name]++
		if seen[c.Name] > keepRuns && c.State != cri.Running {
			p.plan.Remove = append(p.plan.Remove, c.ID)
			continue
		}
		used[c.SandboxID] = true
	}
	for _, s := range p.Runtime.Sandboxes {
		if !used[s.ID] {
			p.plan.RemoveSandboxes = append(p.plan.RemoveSandboxes, s.ID)
		}
	}
}
