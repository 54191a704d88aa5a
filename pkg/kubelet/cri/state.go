package cri

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pod is what the runtime knows of one pod. Both lists are newest first.
type Pod struct {
	UID             types.UID
	Namespace, Name string
	Sandboxes       []*Sandbox
	Containers      []*Container
}

// Sandbox is the pod's network namespace and what keeps it. A pod has at most one that is Ready.
type Sandbox struct {
	ID          string
	Ready       bool
	Attempt     uint32
	CreatedAt   time.Time
	IPs         []string
	HostNetwork bool
}

// State of a container. It only moves forward: Created → Running → Exited; a restart is a new container.
type State int

// The states; Unknown is what a runtime says that lost track: such a container is stopped before anything else.
const (
	Created State = iota
	Running
	Exited
	Unknown
)

func (s State) String() string { return [...]string{"created", "running", "exited", "unknown"}[s] }

// Container is one run of one container of the pod.
type Container struct {
	ID, Name, SandboxID string
	State               State
	RestartCount        int32
	Hash                string
	CreatedAt           time.Time
	// StartedAt and FinishedAt are zero until it happened.
	StartedAt, FinishedAt time.Time
	ExitCode              int32
	Reason, Message       string
	Image, ImageRef       string
	ImageID               string
	LogPath               string
	Mounts                []*runtimev1.Mount
	User                  *runtimev1.LinuxContainerUser
	Resources             *runtimev1.LinuxContainerResources
	// TerminationMessagePath and Policy are the container's when it was made: its spec may be gone.
	TerminationMessagePath, TerminationMessagePolicy string
}

// Current returns the newest container of that name, or nil.
func (p *Pod) Current(name string) *Container {
	for _, c := range p.Containers {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// All returns the containers of that name, newest first.
func (p *Pod) All(name string) (cs []*Container) {
	for _, c := range p.Containers {
		if c.Name == name {
			cs = append(cs, c)
		}
	}
	return cs
}

// ReadySandbox returns the one sandbox that works, or nil.
func (p *Pod) ReadySandbox() *Sandbox {
	for _, s := range p.Sandboxes {
		if s.Ready {
			return s
		}
	}
	return nil
}

// Alive tells whether anything of the pod still runs, or could.
func (p *Pod) Alive() bool {
	for _, c := range p.Containers {
		if c.State == Running || c.State == Unknown {
			return true
		}
	}
	return p.ReadySandbox() != nil
}

// sort puts the newest first. It goes by the counts, which only grow, before it goes by times: after the clock was set
// back the newest run bears the earlier time, and a kubelet that took the dead one before it for the present one would
// start the container again although it runs.
func (p *Pod) sort() {
	slices.SortFunc(p.Sandboxes, func(a, b *Sandbox) int {
		return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.CreatedAt.Compare(a.CreatedAt))
	})
	slices.SortFunc(p.Containers, func(a, b *Container) int {
		return cmp.Or(cmp.Compare(b.RestartCount, a.RestartCount), b.CreatedAt.Compare(a.CreatedAt))
	})
}

func sandboxOf(s *runtimev1.PodSandboxStatus) *Sandbox {
	out := &Sandbox{
		ID:          s.Id,
		Ready:       s.State == runtimev1.PodSandboxState_SANDBOX_READY,
		Attempt:     s.GetMetadata().GetAttempt(),
		CreatedAt:   time.Unix(0, s.CreatedAt),
		HostNetwork: s.GetLinux().GetNamespaces().GetOptions().GetNetwork() == runtimev1.NamespaceMode_NODE,
	}
	if ip := s.GetNetwork().GetIp(); ip != "" {
		out.IPs = append(out.IPs, ip)
	}
	for _, ip := range s.GetNetwork().GetAdditionalIps() {
		out.IPs = append(out.IPs, ip.Ip)
	}
	return out
}

func containerOf(sandboxID string, s *runtimev1.ContainerStatus) *Container {
	restarts, _ := strconv.ParseInt(s.Annotations[AnnotationRestartCount], 10, 32)
	return &Container{
		ID: s.Id, Name: s.Labels[LabelContainerName], SandboxID: sandboxID,
		State:        stateOf(s.State),
		RestartCount: int32(restarts),
		Hash:         s.Annotations[AnnotationHash],
		CreatedAt:    moment(s.CreatedAt), StartedAt: moment(s.StartedAt), FinishedAt: moment(s.FinishedAt),
		ExitCode: s.ExitCode, Reason: s.Reason, Message: s.Message,
		Image: s.GetImage().GetImage(), ImageRef: s.ImageRef, ImageID: s.ImageId,
		LogPath: s.LogPath, Mounts: s.Mounts,
		User: s.GetUser().GetLinux(), Resources: s.GetResources().GetLinux(),
		TerminationMessagePath:   s.Annotations[AnnotationTerminationMessagePath],
		TerminationMessagePolicy: s.Annotations[AnnotationTerminationMessagePolicy],
	}
}

func stateOf(s runtimev1.ContainerState) State {
	switch s {
	case runtimev1.ContainerState_CONTAINER_CREATED:
		return Created
	case runtimev1.ContainerState_CONTAINER_RUNNING:
		return Running
	case runtimev1.ContainerState_CONTAINER_EXITED:
		return Exited
	}
	return Unknown
}

// moment keeps "has not happened", 0 on the wire, apart from 1970.
func moment(ns int64) time.Time {
	if ns <= 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
