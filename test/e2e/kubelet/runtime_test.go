package kubelet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cri"
)

// runtimeContract is what the kubelet relies on in a runtime. The pod is one that the kubelet knows nothing of.
func runtimeContract(t *testing.T, c *kase) {
	r := c.runtime()
	ctx := t.Context()
	changes := make(chan types.UID, 1000)
	go r.Watch(ctx, func(uid types.UID) {
		if uid == "u" {
			changes <- uid
		}
	})
	sandbox := &runtimev1.PodSandboxConfig{
		Metadata: &runtimev1.PodSandboxMetadata{Name: "p", Namespace: "ns", Uid: "u"}, LogDirectory: c.dir.Join("logs", "runtime"), Hostname: "p",
		Labels: map[string]string{cri.LabelPodUID: "u", cri.LabelPodName: "p", cri.LabelPodNamespace: "ns"},
		Linux: &runtimev1.LinuxPodSandboxConfig{
			CgroupParent:    c.dir.CgroupRoot() + "/runtime",
			SecurityContext: &runtimev1.LinuxSandboxSecurityContext{NamespaceOptions: &runtimev1.NamespaceOption{Pid: runtimev1.NamespaceMode_CONTAINER}},
		},
	}
	sid, err := r.RunSandbox(ctx, sandbox, "")
	require.NoError(t, err)
	image, err := r.Image(ctx, busybox)
	require.NoError(t, err)
	none, err := r.Image(ctx, "bonsai.test/none:1")
	require.NoError(t, err)
	require.Nil(t, none, "an image that is not there is no error")

	id, err := r.CreateContainer(ctx, sid, &runtimev1.ContainerConfig{
		Metadata: &runtimev1.ContainerMetadata{Name: "c"}, Image: &runtimev1.ImageSpec{Image: image.Id}, LogPath: "c.log",
		Command:     []string{"sh", "-c", "trap 'exit 5' TERM; while true; do sleep 0.1; done"},
		Labels:      map[string]string{cri.LabelPodUID: "u", cri.LabelContainerName: "c"},
		Annotations: map[string]string{cri.AnnotationRestartCount: "3"},
		Linux:       &runtimev1.LinuxContainerConfig{},
	}, sandbox)
	require.NoError(t, err)
	state := func() *cri.Container {
		p, err := r.Pod(ctx, "u")
		require.NoError(t, err)
		require.NotNil(t, p.ReadySandbox())
		return p.Current("c")
	}
	require.Equal(t, cri.Created, state().State)
	require.NoError(t, r.StartContainer(ctx, id))
	running := state()
	require.Equal(t, cri.Running, running.State)
	require.EqualValues(t, 3, running.RestartCount)
	require.Zero(t, running.FinishedAt)

	out, code, err := r.ExecSync(ctx, id, []string{"sh", "-c", "echo hi; exit 4"}, 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, "hi\n4", fmt.Sprintf("%s%d", out, code))
	_, _, err = r.ExecSync(ctx, id, []string{"sleep", "100"}, time.Second)
	require.Error(t, err, "a command that takes too long")

	drain(changes)
	require.NoError(t, r.StopContainer(ctx, id, 5*time.Second))
	exited := state()
	require.Equal(t, cri.Exited, exited.State)
	require.EqualValues(t, 5, exited.ExitCode)
	require.Equal(t, "Error", exited.Reason)
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
	require.NotContains(t, all, types.UID("u"))
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
