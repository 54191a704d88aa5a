package e2e

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// With --separate the components are processes, and all else is the same. If one of them dies the cluster ends, and says
// which it was.
func TestSeparate(t *testing.T) {
	c := newCluster(t)
	before := c.traces(t)
	up := c.upInForeground(t, "--separate")
	status := c.run(t, "status")
	for _, name := range []string{"up", "containerd", "apiserver", "controller-manager", "scheduler", "kubelet", "proxy"} {
		require.Len(t, regexp.MustCompile(`(?m)^bonsai `+name+` `).FindAllString(status, -1), 1, "%s in\n%s", name, status)
	}
	c.loadBusybox(t)
	c.kubectl(t, "apply", "-f", "testdata/life/app.yaml")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/bare", "--timeout=60s")
	c.requireServed(t, lessonIP)
	require.Contains(t, c.kubectl(t, "exec", "bare", "--", "cat", "/settings/greeting"), "hello")

	uids := c.podUIDs(t)
	kill(t, c.process(t, ` scheduler `))
	require.Equal(t, 1, up.end(t))
	require.Regexp(t, `(?m)^bonsai: scheduler: .*killed.*; see .*/logs/scheduler\.log$`, up.stderr.String())
	require.Equal(t, before, c.traces(t))

	c.up(t) // the data is the same, for a cluster in one process as well
	c.requireRestarted(t, uids, "1")
	c.requireServed(t, lessonIP)
}
