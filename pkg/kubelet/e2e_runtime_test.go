//go:build e2e

package kubelet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cri"
)

// TestRuntime is what the kubelet relies on in a runtime.
func TestRuntime(t *testing.T) {
	h := newHost(t)
	require.NoError(t, h.network("10.99.1.0/24"))
	r, err := cri.Dial("unix://" + h.socket)
	require.NoError(t, err)
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	changes := make(chan types.UID, 100)
	go r.Watch(ctx, func(uid types.UID) { changes <- uid })
	require.Eventually(t, func() bool {
		s, err := r.Status(ctx)
		if err != nil {
			return false
		}
		for _, c := range s.Status.Conditions {
			if !c.Status && c.Type == "NetworkReady" {
				return false
			}
		}
		return true
	}, 10*time.Second, 20*time.Millisecond)

	sandbox := &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: "p", Namespace: "ns", Uid: "u"}, LogDirectory: h.dir + "/logs", Hostname: "p",
		Labels: map[string]string{cri.LabelPodUID: "u", cri.LabelPodName: "p", cri.LabelPodNamespace: "ns"},
		Linux:  &runtimev1.LinuxPodSandboxConfig{SecurityContext: &runtimev1.LinuxSandboxSecurityContext{NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER}}},
	}
	sid, err := r.RunSandbox(ctx, sandbox, "")
	require.NoError(t, err)
	image, err := r.Image(ctx, busybox)
	require.NoError(t, err)
	none, err := r.Image(ctx, "bonsai.local/none:1")
	require.NoError(t, err)
	require.Nil(t, none, "an image that is not there is no error")

	container := &runtimev1.ContainerConfig{
		Metadata: &runtimev1.ContainerMetadata{Name: "c"}, Image: &runtimev1.ImageSpec{Image: image.Id}, LogPath: "c.log",
		Command:     []string{"sh", "-c", "trap 'exit 5' TERM; while true; do sleep 0.1; done"},
		Labels:      map[string]string{cri.LabelPodUID: "u", cri.LabelContainerName: "c"},
		Annotations: map[string]string{cri.AnnotationRestartCount: "3", cri.AnnotationGracePeriod: "9"},
		Linux:       &runtimev1.LinuxContainerConfig{},
	}
	id, err := r.CreateContainer(ctx, sid, container, sandbox)
	require.NoError(t, err)
	state := func() *cri.Container {
		p, err := r.Pod(ctx, "u")
		require.NoError(t, err)
		require.NotNil(t, p.ReadySandbox())
		return p.Current("c")
	}
	require.Equal(t, cri.Created, state().State)
	require.NoError(t, r.StartContainer(ctx, id))
	c := state()
	require.Equal(t, cri.Running, c.State)
	require.EqualValues(t, 3, c.RestartCount)
	require.Equal(t, 9*time.Second, c.GracePeriod)
	require.Zero(t, c.FinishedAt)

	out, code, err := r.ExecSync(ctx, id, []string{"sh", "-c", "echo hi; exit 4"}, time.Second)
	require.NoError(t, err)
	require.Equal(t, "hi\n4", fmt.Sprintf("%s%d", out, code))
	_, _, err = r.ExecSync(ctx, id, []string{"sleep", "100"}, time.Second)
	require.Error(t, err, "a command that takes too long")

	drain(changes)
	require.NoError(t, r.StopContainer(ctx, id, 5*time.Second))
	c = state()
	require.Equal(t, cri.Exited, c.State)
	require.EqualValues(t, 5, c.ExitCode)
	require.Equal(t, "Error", c.Reason)
	require.NoError(t, r.StopContainer(ctx, id, 0), "stopping twice is no error")
	require.EqualValues(t, "u", <-changes, "a container event names its pod")

	require.NoError(t, r.StopSandbox(ctx, sid))
	p, err := r.Pod(ctx, "u")
	require.NoError(t, err)
	require.Nil(t, p.ReadySandbox())
	require.NoError(t, r.RemoveSandbox(ctx, sid))
	require.NoError(t, r.RemoveSandbox(ctx, sid), "removing twice is no error")
	require.NoError(t, r.RemoveContainer(ctx, id))
	all, err := r.Pods(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
}

func drain(c chan types.UID) {
	for {
		select {
		case <-c:
		default:
			return
		}
	}
}

// TestManyPods: pods do not wait for each other.
func TestManyPods(t *testing.T) {
	c := newCluster(t)
	begun := time.Now()
	for i := range 50 {
		c.pod(fmt.Sprintf("metadata: {name: p%d}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers: [{name: main, command: [sleep, '1000']}]\n", i))
	}
	for i := range 50 {
		name := fmt.Sprintf("p%d", i)
		c.eventually(func() bool { return isReady(c.get(name)) }, name+" to be ready")
	}
	t.Logf("50 pods ready in %s", time.Since(begun))
	begun = time.Now()
	for i := range 50 {
		c.delete(fmt.Sprintf("p%d", i), 0)
	}
	for i := range 50 {
		c.eventually(func() bool { return c.get(fmt.Sprintf("p%d", i)) == nil }, "to be gone")
	}
	t.Logf("50 pods gone in %s", time.Since(begun))
}

// TestRefused: a pod that asks for more than the node has fails, and says so.
func TestRefused(t *testing.T) {
	c := newCluster(t)
	c.pod("metadata: {name: huge}\nspec:\n  containers: [{name: main, resources: {requests: {cpu: '1000'}}}]\n")
	require.Equal(t, "OutOfcpu", c.phase("huge", "Failed").Status.Reason)
	c.event("huge", "OutOfcpu Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: ")
}
