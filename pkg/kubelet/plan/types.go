package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/cri"
)

// Observed is all that a plan depends on, besides the time.
type Observed struct {
	// Pod is the API's; nil when it is gone from there and only the runtime remembers it.
	Pod     *corev1.Pod
	Runtime *cri.Pod
	// End, if not nil, says that the pod must end.
	End *End
	// Volumes is "" when all are set up, else what is missing.
	Volumes string
	// SandboxRetry is when a sandbox may be tried again after a failure.
	SandboxRetry time.Time
	// Containers is what the kubelet itself remembers, by container name.
	Containers map[string]Memory
}

// End is why and how a pod ends.
type End struct {
	Reason string
	Grace  time.Duration
}

// Memory is what the kubelet knows of a container that the runtime does not.
type Memory struct {
	Image Image
	// BackOff is the delay before the next restart, counted from the end of the last run.
	BackOff time.Duration
	// Failure is why the last attempt to create or start it failed; no new attempt before Retry.
	Failure *Failure
	// Probes are those of the container ID they name; another ID has none yet.
	Probes Probes
}

// Image is how far fetching the container's image is. The zero value: nobody has looked.
type Image struct {
	Fetching bool
	// Ref is set once it is there.
	Ref string
	// Failure with its Retry time, if fetching failed.
	Failure *Failure
}

// Failure is a reason and message as a container's waiting state shows them.
type Failure struct {
	Reason, Message string
	Retry           time.Time
}

// Probes are the results for one run of a container. Started is true without a startup probe.
type Probes struct {
	ID      string
	Started bool
	// Failed is "liveness" or "startup" when that probe wants the container restarted, with the grace period it asks for.
	Failed string
	Grace  *int64
}

// Plan lists what to do for one pod. Fields are applied in their order.
type Plan struct {
	// Pull begins to get images. It is not waited for.
	Pull []Pull
	// Stop stops containers, stage by stage: those of a stage together, the next stage when they have ended.
	Stop [][]Stop
	// StopSandboxes are stopped after that.
	StopSandboxes []string
	// Sandbox, if not nil, is made.
	Sandbox *NewSandbox
	// Start makes and starts containers, one after the other.
	Start []Start
	// Remove and RemoveSandboxes forget what is over.
	Remove          []string
	RemoveSandboxes []string

	// Waiting is what is not started yet, and why: what the container's state shows.
	Waiting []Waiting
	// Again is when to plan again if nothing happens before; zero means never.
	Again time.Time
	// Finished: every container has ended for good; the pod must end.
	Finished bool
	// Done: a pod that must end has nothing left in the runtime that runs.
	Done bool
}

// Stop is one container to stop. Event is the message of its Killing event.
type Stop struct {
	Name, ID, Reason, Event string
	Grace                   time.Duration
}

// NewSandbox is a sandbox to make. Changed means that it replaces one.
type NewSandbox struct {
	Attempt uint32
	Changed bool
	Reason  string
}

// Pull is an image to look for and fetch if needed.
type Pull struct{ Name, Reason string }

// Start is a container to make and start; RestartCount is the number that it gets.
type Start struct {
	Name         string
	RestartCount int32
	SandboxID    string
	ImageRef     string
	Reason       string
}

// Waiting is a container that is not started now. Event says that it is worth a BackOff event.
type Waiting struct {
	Name, Reason, Message string
	Event                 bool
}

// Acts tells whether applying the plan changes anything, so that the pod is worth observing again at once.
func (p *Plan) Acts() bool {
	return len(p.Stop)+len(p.StopSandboxes)+len(p.Start)+len(p.Remove)+len(p.RemoveSandboxes) > 0 || p.Sandbox != nil
}

// again keeps the earliest time at which to plan anew.
func (p *Plan) again(t time.Time) {
	if p.Again.IsZero() || t.Before(p.Again) {
		p.Again = t
	}
}
