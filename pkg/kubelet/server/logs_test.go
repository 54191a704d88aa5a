package server

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/cri"
)

func TestRunOf(t *testing.T) {
	running := &cri.Container{Name: "c", ID: "2", State: cri.Running}
	ended := &cri.Container{Name: "c", ID: "1", State: cri.Exited}
	pod := func(reason string) *corev1.Pod {
		p := &corev1.Pod{}
		p.Name = "p"
		if reason != "" {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
		}
		return p
	}
	for _, test := range []struct {
		name     string
		pod      *corev1.Pod
		runs     []*cri.Container
		previous bool
		want     string
		err      string
	}{
		{"running", pod(""), []*cri.Container{running, ended}, false, "2", ""},
		{"previous", pod(""), []*cri.Container{running, ended}, true, "1", ""},
		{"no previous", pod(""), []*cri.Container{running}, true, "", `previous terminated container "c" in pod "p" not found`},
		{"in back-off", pod("CrashLoopBackOff"), []*cri.Container{ended}, false, "1", ""},
		{"in back-off, previous", pod("CrashLoopBackOff"), []*cri.Container{ended}, true, "1", ""},
		{"creating", pod("ContainerCreating"), nil, false, "", `container "c" in pod "p" is waiting to start: ContainerCreating`},
		{"no image", pod("ImagePullBackOff"), nil, false, "", `container "c" in pod "p" is waiting to start: trying and failing to pull image`},
		{"unknown", pod(""), nil, false, "", `container "c" in pod "p" is not available`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := runOf(test.pod, &cri.Pod{Containers: test.runs}, "c", test.previous)
			if test.err != "" {
				require.EqualError(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got.ID)
		})
	}
}

func TestLogOptions(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o, err := logOptions(url.Values{"follow": {"true"}, "tailLines": {"5"}, "sinceSeconds": {"60"}, "timestamps": {"true"}}, now)
	require.NoError(t, err)
	require.True(t, o.Follow && o.Timestamp)
	require.EqualValues(t, 5, *o.TailLines)
	require.Equal(t, now.Add(-time.Minute), o.Since)
	for _, bad := range []url.Values{{"tailLines": {"x"}}, {"limitBytes": {"-1"}}, {"sinceSeconds": {"y"}}, {"sinceTime": {"z"}}} {
		_, err := logOptions(bad, now)
		require.Error(t, err, bad)
	}
}
