package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"bonsai/pkg/kubelet/cri"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// run is a container's run in short: "running", "exited 1", or "" for none.
func run(name, id, what string) *cri.Container {
	c := &cri.Container{Name: name, ID: id, State: cri.Running, StartedAt: now.Add(-time.Minute), Image: "img", ImageRef: "sha256:1"}
	if code, ok := strings.CutPrefix(what, "exited "); ok {
		fmt.Sscan(code, &c.ExitCode)
		c.State, c.FinishedAt, c.Reason = cri.Exited, now, map[bool]string{true: "Completed", false: "Error"}[c.ExitCode == 0]
	}
	return c
}

func ready() *cri.Sandbox { return &cri.Sandbox{ID: "s", Ready: true, IPs: []string{"10.0.0.7"}} }

// short is a status in one line: phase, conditions that are true, containers.
func short(s corev1.PodStatus) string {
	var yes, cs []string
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue && c.Type != corev1.PodScheduled {
			yes = append(yes, string(c.Type))
		}
	}
	for _, c := range append(s.InitContainerStatuses, s.ContainerStatuses...) {
		state := "waiting"
		switch {
		case c.State.Running != nil:
			state = "running"
		case c.State.Terminated != nil:
			state = c.State.Terminated.Reason
		case c.State.Waiting != nil:
			state = c.State.Waiting.Reason
		}
		if t := c.LastTerminationState.Terminated; t != nil {
			state += fmt.Sprintf(" after %d", t.ExitCode)
		}
		cs = append(cs, c.Name+"="+state)
	}
	return fmt.Sprintf("%s [%s] %s", s.Phase, strings.Join(yes, " "), strings.Join(cs, ", "))
}

func TestCompute(t *testing.T) {
	always := ptr.To(corev1.ContainerRestartPolicyAlways)
	sidecar := corev1.Container{Name: "side", RestartPolicy: always}
	crash := map[string]Waiting{"main": {Reason: "CrashLoopBackOff"}}
	for _, test := range []struct {
		name    string
		policy  corev1.RestartPolicy
		inits   []corev1.Container
		sandbox *cri.Sandbox
		runs    []*cri.Container
		change  func(*Input)
		want    string
	}{
		{name: "new", want: "Pending [Initialized] main=ContainerCreating"},
		{name: "starting", sandbox: ready(), want: "Pending [PodReadyToStartContainers Initialized] main=ContainerCreating"},
		{name: "running", sandbox: ready(), runs: []*cri.Container{run("main", "1", "running")},
			want: "Running [PodReadyToStartContainers Initialized Ready ContainersReady] main=running"},
		{name: "back-off", sandbox: ready(), runs: []*cri.Container{run("main", "1", "exited 1")}, change: func(in *Input) { in.Waiting = crash },
			want: "Running [PodReadyToStartContainers Initialized] main=CrashLoopBackOff after 1"},
		{name: "restarted", sandbox: ready(), runs: []*cri.Container{run("main", "2", "running"), run("main", "1", "exited 1")},
			want: "Running [PodReadyToStartContainers Initialized Ready ContainersReady] main=running after 1"},
		{name: "succeeded", policy: corev1.RestartPolicyOnFailure, runs: []*cri.Container{run("main", "1", "exited 0")}, want: "Succeeded [Initialized] main=Completed"},
		{name: "failed", policy: corev1.RestartPolicyNever, runs: []*cri.Container{run("main", "1", "exited 2")}, want: "Failed [Initialized] main=Error"},
		{name: "before the init container", inits: []corev1.Container{{Name: "init"}}, sandbox: ready(),
			want: "Pending [PodReadyToStartContainers] init=PodInitializing, main=PodInitializing"},
		{name: "init container failed for good", policy: corev1.RestartPolicyNever, inits: []corev1.Container{{Name: "init"}}, sandbox: ready(),
			runs: []*cri.Container{run("init", "1", "exited 1")}, want: "Failed [PodReadyToStartContainers] init=Error, main=PodInitializing"},
		{name: "init container failed", inits: []corev1.Container{{Name: "init"}}, sandbox: ready(),
			runs: []*cri.Container{run("init", "1", "exited 1")}, want: "Pending [PodReadyToStartContainers] init=Error, main=PodInitializing"},
		{name: "sidecar outlives", policy: corev1.RestartPolicyNever, inits: []corev1.Container{sidecar}, sandbox: ready(),
			runs: []*cri.Container{run("side", "1", "running"), run("main", "2", "exited 0")},
			want: "Running [PodReadyToStartContainers Initialized] side=running, main=Completed"},
		{name: "deleted while it ran", runs: []*cri.Container{run("main", "1", "exited 137")}, change: func(in *Input) { in.Ending = true },
			want: "Failed [Initialized] main=Error"},
		{name: "deadline", runs: []*cri.Container{run("main", "1", "exited 137")}, change: func(in *Input) { in.Verdict = &Verdict{Reason: "DeadlineExceeded"} },
			want: "Failed [Initialized] main=Error"},
		{name: "not ready", sandbox: ready(), runs: []*cri.Container{run("main", "1", "running")},
			change: func(in *Input) { in.Pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{} },
			want:   "Running [PodReadyToStartContainers Initialized] main=running"},
		{name: "gate", sandbox: ready(), runs: []*cri.Container{run("main", "1", "running")},
			change: func(in *Input) { in.Pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "lb"}} },
			want:   "Running [PodReadyToStartContainers Initialized ContainersReady] main=running"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: test.policy, InitContainers: test.inits, Containers: []corev1.Container{{Name: "main", Image: "img"}}}}
			if pod.Spec.RestartPolicy == "" {
				pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
			}
			in := Input{Pod: pod, Runtime: &cri.Pod{Containers: test.runs}, RuntimeName: "containerd", HostIPs: []string{"192.0.2.1"}, Now: now}
			if test.sandbox != nil {
				in.Runtime.Sandboxes = []*cri.Sandbox{test.sandbox}
			}
			if test.change != nil {
				test.change(&in)
			}
			got := Compute(in)
			require.Equal(t, test.want, short(got))
			again := in
			again.Pod = pod.DeepCopy()
			again.Pod.Status = got
			again.Now = now.Add(time.Hour)
			require.Equal(t, got, Compute(again), "a status computed again from itself is the same: nothing is written")
		})
	}
}

func TestConditionsOfOthersStay(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: "lb", Status: corev1.ConditionTrue}}}}
	pod.Spec.Containers = []corev1.Container{{Name: "main"}}
	s := Compute(Input{Pod: pod, Runtime: &cri.Pod{}, Now: now})
	require.NotNil(t, condition(s.Conditions, "lb"))
	require.Equal(t, "containers with unready status: [main]", condition(s.Conditions, corev1.PodReady).Message)
}

func TestForgottenRunCountsAsEnded(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "main"}}}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: 2, State: corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}}}}
	s := Compute(Input{Pod: pod, Runtime: &cri.Pod{}, Now: now}).ContainerStatuses[0]
	require.Equal(t, "ContainerStatusUnknown", s.LastTerminationState.Terminated.Reason)
	require.EqualValues(t, 3, s.RestartCount)
}
