package status

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/plan"
)

// container is the status of one container. waiting is the reason shown before its first run without another one.
func (in *Input) container(c *corev1.Container, old []corev1.ContainerStatus, waiting string, ready func(*corev1.ContainerStatus, Probes, *corev1.Container)) corev1.ContainerStatus {
	s := corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, Started: ptr.To(false),
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting}},
	}
	runs := in.Runtime.All(c.Name)
	if len(runs) == 0 {
		in.forgotten(&s, find(old, c.Name))
	} else {
		in.run(&s, c, runs)
	}
	if w, ok := in.Waiting[c.Name]; ok && s.State.Running == nil {
		if t := s.State.Terminated; t != nil {
			s.LastTerminationState = corev1.ContainerState{Terminated: t}
		}
		s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}}
	}
	var p Probes
	if len(runs) > 0 && in.Probes[c.Name].ID == runs[0].ID {
		p = in.Probes[c.Name]
	}
	ready(&s, p, c)
	return s
}

// run fills in what the runtime says of the newest run and the one before.
func (in *Input) run(s *corev1.ContainerStatus, c *corev1.Container, runs []*cri.Container) {
	newest := runs[0]
	s.State = in.state(newest)
	s.RestartCount = newest.RestartCount
	s.Image, s.ImageID = newest.Image, newest.ImageRef
	s.ContainerID = in.id(newest)
	s.User = user(newest)
	s.VolumeMounts = mounts(c)
	s.AllocatedResources = c.Resources.Requests.DeepCopy()
	s.Resources = &corev1.ResourceRequirements{Limits: c.Resources.Limits.DeepCopy(), Requests: c.Resources.Requests.DeepCopy()}
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		s.StopSignal = c.Lifecycle.StopSignal
	}
	for _, r := range runs[1:] {
		if r.State == cri.Exited {
			s.LastTerminationState = in.state(r)
			break
		}
	}
}

// forgotten keeps what was known of a container whose runs the runtime has lost, as after its data was removed:
// one that ran counts as ended for an unknown reason.
func (in *Input) forgotten(s, old *corev1.ContainerStatus) {
	if old == nil {
		return
	}
	s.RestartCount, s.LastTerminationState = old.RestartCount, old.LastTerminationState
	switch {
	case old.State.Terminated != nil:
		s.State, s.Image, s.ImageID, s.ContainerID = old.State, old.Image, old.ImageID, old.ContainerID
	case old.State.Running != nil:
		t := &corev1.ContainerStateTerminated{Reason: "ContainerStatusUnknown", ExitCode: 137,
			Message: "The container could not be located when the pod was terminated"}
		if in.Ending {
			s.State = corev1.ContainerState{Terminated: t}
			return
		}
		t.Message = "The container could not be located when the pod was deleted.  The container used to be Running"
		s.LastTerminationState = corev1.ContainerState{Terminated: t}
		s.RestartCount++
	}
}

func (in *Input) id(c *cri.Container) string { return in.RuntimeName + "://" + c.ID }

func (in *Input) state(c *cri.Container) corev1.ContainerState {
	switch c.State {
	case cri.Running:
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.StartedAt)}}
	case cri.Exited:
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: c.ExitCode, Reason: c.Reason, Message: c.Message, ContainerID: in.id(c),
			StartedAt: metav1.NewTime(c.StartedAt), FinishedAt: metav1.NewTime(c.FinishedAt),
		}}
	}
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
}

func user(c *cri.Container) *corev1.ContainerUser {
	if c.User == nil {
		return nil
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: c.User.Uid, GID: c.User.Gid, SupplementalGroups: c.User.SupplementalGroups}}
}

func mounts(c *corev1.Container) (out []corev1.VolumeMountStatus) {
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			s.RecursiveReadOnly = ptr.To(corev1.RecursiveReadOnlyDisabled)
		}
		out = append(out, s)
	}
	return out
}

// probed sets started and ready of a container that goes on running.
func probed(s *corev1.ContainerStatus, p Probes, c *corev1.Container) {
	if s.State.Running == nil {
		return
	}
	s.Started = ptr.To(c.StartupProbe == nil || p.Started)
	s.Ready = *s.Started && (c.ReadinessProbe == nil || p.Ready)
}

// initReady does it for an init container: ready means that what follows may rely on it.
func initReady(s *corev1.ContainerStatus, p Probes, c *corev1.Container) {
	if plan.Sidecar(c) {
		probed(s, p, c)
		return
	}
	s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
}
