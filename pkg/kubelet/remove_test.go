package kubelet

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/kubelet/cgroup"
	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/spec"
)

// restarting is a runtime that does not answer the first time it is asked to remove something.
type restarting struct {
	cri.Runtime
	asked int
}

func (r *restarting) Pod(context.Context, types.UID) (*cri.Pod, error) {
	return &cri.Pod{UID: "u", Sandboxes: []*cri.Sandbox{{ID: "s"}}}, nil
}

func (r *restarting) RemoveSandbox(context.Context, string) error {
	if r.asked++; r.asked == 1 {
		return errors.New("connection refused")
	}
	return nil
}

// A pod whose sandbox could not be removed is not forgotten: nobody else would remove it before the next start.
func TestRemoveTriesAgain(t *testing.T) {
	runtime := &restarting{}
	k := &kubelet{runtime: runtime, cgroups: cgroup.New("/bonsai-test-none"), node: &spec.Node{LogsDir: t.TempDir()}}
	k.Logger = slog.New(slog.DiscardHandler)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u"}}
	logs := k.node.LogDir(pod)
	require.NoError(t, os.MkdirAll(logs, 0o755))
	w := newWorker(k, "u")
	removed, err := w.remove(t.Context(), pod, true)
	require.Error(t, err)
	require.False(t, removed)
	removed, err = w.remove(t.Context(), pod, true)
	require.NoError(t, err)
	require.True(t, removed)
	require.Equal(t, 2, runtime.asked)
	require.NoDirExists(t, logs)
}
