package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/qos"

	"bonsai/pkg/kubelet/cri"
)

// Input is all that a status depends on.
type Input struct {
	// Pod is the API's; its status is what was written last.
	Pod     *corev1.Pod
	Runtime *cri.Pod
	// RuntimeName is the scheme of container IDs: containerd.
	RuntimeName string
	// Waiting says why a container is not started, Probes how its present run does, by container name.
	Waiting map[string]Waiting
	Probes  map[string]Probes
	HostIPs []string
	// Ending is set while the kubelet ends the pod; the phase is then a final one as soon as nothing runs.
	Ending bool
	// Verdict, if not nil, fails the pod whatever its containers do.
	Verdict *Verdict
	Now     time.Time
}

// Waiting is a reason why a container does not run.
type Waiting struct{ Reason, Message string }

// Probes are results for the run with that ID.
type Probes struct {
	ID             string
	Started, Ready bool
}

// Verdict is a reason of the kubelet's own for a pod to have failed: DeadlineExceeded, OutOfcpu, …
type Verdict struct{ Reason, Message string }

// Compute returns the pod's status.
func Compute(in Input) corev1.PodStatus {
	old := in.Pod.Status
	s := corev1.PodStatus{
		ObservedGeneration: in.Pod.Generation,
		NominatedNodeName:  old.NominatedNodeName,
		StartTime:          old.StartTime,
		QOSClass:           old.QOSClass,
		Reason:             old.Reason, Message: old.Message,
		ResourceClaimStatuses:       old.ResourceClaimStatuses,
		ExtendedResourceClaimStatus: old.ExtendedResourceClaimStatus,
		InitContainerStatuses:       in.inits(),
		ContainerStatuses:           in.regular(),
		EphemeralContainerStatuses:  in.ephemeral(),
	}
	if s.StartTime == nil {
		s.StartTime = &metav1.Time{Time: in.Now.Truncate(time.Second)}
	}
	if s.QOSClass == "" {
		s.QOSClass = qos.GetPodQOS(in.Pod)
	}
	in.addresses(&s)
	s.Phase = in.phase(&s)
	if in.Verdict != nil {
		s.Phase, s.Reason, s.Message = corev1.PodFailed, in.Verdict.Reason, in.Verdict.Message
	}
	s.Conditions = in.conditions(&s)
	return s
}

// addresses fills in the host's and the pod's. A pod keeps those it had until it has others: its last words may
// still be looked for there.
func (in *Input) addresses(s *corev1.PodStatus) {
	for _, ip := range in.HostIPs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	s.PodIPs = in.Pod.Status.PodIPs
	if sandbox := in.Runtime.ReadySandbox(); sandbox != nil {
		ips := sandbox.IPs
		if in.Pod.Spec.HostNetwork {
			ips = in.HostIPs
		}
		if len(ips) > 0 {
			s.PodIPs = nil
		}
		for _, ip := range ips {
			s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
		}
	}
	if len(s.HostIPs) > 0 {
		s.HostIP = s.HostIPs[0].IP
	}
	if len(s.PodIPs) > 0 {
		s.PodIP = s.PodIPs[0].IP
	}
}

func (in *Input) inits() (out []corev1.ContainerStatus) {
	for i := range in.Pod.Spec.InitContainers {
		c := &in.Pod.Spec.InitContainers[i]
		out = append(out, in.container(c, in.Pod.Status.InitContainerStatuses, "PodInitializing", initReady))
	}
	return out
}

func (in *Input) regular() (out []corev1.ContainerStatus) {
	waiting := "ContainerCreating"
	if len(in.Pod.Spec.InitContainers) > 0 {
		waiting = "PodInitializing"
	}
	for i := range in.Pod.Spec.Containers {
		c := &in.Pod.Spec.Containers[i]
		out = append(out, in.container(c, in.Pod.Status.ContainerStatuses, waiting, probed))
	}
	return out
}

func (in *Input) ephemeral() (out []corev1.ContainerStatus) {
	for i := range in.Pod.Spec.EphemeralContainers {
		c := corev1.Container(in.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		if in.Runtime.Current(c.Name) == nil && in.Waiting[c.Name].Reason == "" && in.Runtime.ReadySandbox() == nil {
			continue
		}
		out = append(out, in.container(&c, in.Pod.Status.EphemeralContainerStatuses, "ContainerCreating", func(*corev1.ContainerStatus, Probes, *corev1.Container) {}))
	}
	return out
}

// phase is the pod's phase, from its containers alone.
func (in *Input) phase(s *corev1.PodStatus) corev1.PodPhase {
	if old := in.Pod.Status.Phase; old == corev1.PodFailed || old == corev1.PodSucceeded {
		return old
	}
	n := count(in.Pod, s)
	switch {
	case n.initFailed:
		return corev1.PodFailed
	case in.Ending && n.running+n.sidecars == 0 && !in.Runtime.Alive():
		if n.ended > 0 && n.ended == n.succeeded && n.waiting == 0 {
			return corev1.PodSucceeded
		}
		return corev1.PodFailed
	case n.initPending && n.ended+n.running == 0, n.waiting > 0:
		return corev1.PodPending
	case n.running > 0:
		return corev1.PodRunning
	case n.ended == 0:
		return corev1.PodPending
	case n.restarting > 0:
		return corev1.PodRunning
	case n.sidecars > 0:
		return corev1.PodRunning
	case n.ended == n.succeeded:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

// Terminal tells whether a pod's phase is final.
func Terminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// find returns the status of that name, or nil.
func find(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	if i := slices.IndexFunc(list, func(s corev1.ContainerStatus) bool { return s.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}
