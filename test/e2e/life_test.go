package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/machine"
)

// startWithApp starts a cluster that runs what is in testdata/life; it returns when all of it is Ready. The second result are
// the traces of the namespace before.
func startWithApp(t *testing.T, flags ...string) (*testCluster, []string) {
	t.Helper()
	c := newCluster(t)
	before := c.traces(t)
	c.up(t, flags...)
	c.loadBusybox(t)
	c.kubectl(t, "apply", "-f", "testdata/life/app.yaml")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/bare", "--timeout=60s")
	c.requireServed(t, lessonIP)
	return c, before
}

// requireServed: the service answers, at its own address and at the node's.
func (c *testCluster) requireServed(t *testing.T, nodeIP string) {
	t.Helper()
	for _, url := range []string{"http://10.96.7.7/", "http://" + nodeIP + ":30777/"} {
		require.Contains(t, get(t, c.ns, url), "web-", url)
	}
}

// requireRestarted: the same pods run, each container for the given time anew.
func (c *testCluster) requireRestarted(t *testing.T, uids, restarts string) {
	t.Helper()
	c.kubectl(t, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}="+restarts, "pod", "--all", "--timeout=60s")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	require.Equal(t, uids, c.podUIDs(t), "pods are kept, not replaced")
	require.Equal(t, "hello from before", c.kubectl(t, "exec", "bare", "--", "cat", "/settings/greeting"))
}

func (c *testCluster) podUIDs(t *testing.T) string {
	return c.kubectl(t, "get", "pods", "--sort-by=.metadata.name", "-o", "jsonpath={.items[*].metadata.uid}")
}

// A cluster that is taken down leaves the machine as it was, and goes on where it was when it is started again; also
// on a machine that has another address by then.
func TestDownAndUpAgain(t *testing.T) {
	c, before := startWithApp(t)
	uids := c.podUIDs(t)
	c.run(t, "down", "--prove")
	require.Equal(t, before, c.traces(t))

	c.up(t)
	c.requireRestarted(t, uids, "1")
	c.requireServed(t, lessonIP)

	c.run(t, "down", "--prove")
	const newIP = "10.78.0.3"
	move(t, c.ns, lessonIP+"/24", newIP+"/24")
	require.Regexp(t, `certificates .* made or renewed`, c.up(t))
	c.requireRestarted(t, uids, "2")
	c.requireServed(t, newIP)
	require.Equal(t, newIP, c.kubectl(t, "get", "node", lessonNode, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`))
	require.Contains(t, c.kubectl(t, "get", "endpoints", "kubernetes"), newIP+":6443")
	require.Equal(t, newIP, c.kubectl(t, "get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes", "-o", "jsonpath={.items[*].endpoints[*].addresses[*]}"))
	require.Equal(t, strings.Repeat(newIP+" ", 3), c.kubectl(t, "get", "pods", "-o", "jsonpath={range .items[*]}{.status.hostIP} {end}"))
	require.Contains(t, c.kubectl(t, "--server=https://"+newIP+":6443", "get", "nodes"), "Ready", "the certificate is for the new address")
	c.kubectl(t, "exec", "bare", "--", "nc", "-w", "5", "10.96.0.1", "443", "-e", "true")
}

// After kill -9 of all its processes a cluster can be cleaned up as well as any other.
func TestDownAfterKill(t *testing.T) {
	c, before := startWithApp(t)
	c.killEverything(t)
	require.NotEqual(t, before, c.traces(t), "what is killed cannot clean up")
	c.run(t, "down", "--prove")
	require.Equal(t, before, c.traces(t))
}

// After kill -9 of all its processes a cluster starts again over its own remains.
func TestUpAfterKill(t *testing.T) {
	c, before := startWithApp(t)
	uids := c.podUIDs(t)
	c.killEverything(t)
	c.up(t)
	c.requireRestarted(t, uids, "1")
	c.requireServed(t, lessonIP)
	c.run(t, "down", "--prove")
	require.Equal(t, before, c.traces(t))
}

// When the cluster's process alone is killed its pods run on, and the next one takes them over as they are.
func TestPodsOutliveTheCluster(t *testing.T) {
	c, before := startWithApp(t)
	containers := c.containers(t)
	supervisor := c.process(t, `^\S*bonsai up `)
	containerd := c.process(t, `^bonsai containerd `)
	kill(t, supervisor)
	kill(t, containerd) // it follows by itself; this waits for that
	c.requireServed(t, lessonIP)

	c.up(t)
	require.Equal(t, containers, c.containers(t))
	c.requireServed(t, lessonIP)

	// They are looked after again.
	kill(t, c.process(t, "^sleep 3600$"))
	c.kubectl(t, "wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/bare", "--timeout=60s")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	after := c.containers(t)
	require.NotEqual(t, containers["bare"], after["bare"])
	containers["bare"] = after["bare"]
	require.Equal(t, containers, after, "only that one was started again")
	c.run(t, "down", "--prove")
	require.Equal(t, before, c.traces(t))
}

// containers are the running containers of each pod, as the runtime knows them.
func (c *testCluster) containers(t *testing.T) map[string][]string {
	t.Helper()
	list, err := dialCRI(t, machine.Dir(c.dir)).ListContainers(t.Context(), &cri.ListContainersRequest{
		Filter: &cri.ContainerFilter{State: &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}},
	})
	require.NoError(t, err)
	found := map[string][]string{}
	for _, container := range list.Containers {
		pod := container.Labels["io.kubernetes.pod.name"]
		found[pod] = append(found[pod], container.Id)
	}
	return found
}
