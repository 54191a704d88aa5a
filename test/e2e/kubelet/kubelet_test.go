package kubelet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cases share the node, and default is their namespace: the names of their pods differ.
var cases = []struct {
	name string
	run  func(t *testing.T, c *kase)
}{
	{"crash loop", crashLoop},
	{"log rotation", logRotation},
	{"image cannot be had", badImage},
	{"cannot start", cannotStart},
	{"runs to its end", runsToItsEnd},
	{"last words", lastWords},
	{"init containers and a sidecar", initContainers},
	{"sidecar outlives main", sidecarOutlives},
	{"probes restart and unready", probes},
	{"tcp probe", tcpProbe},
	{"grpc probe", grpcProbe},
	{"environment and volumes", environment},
	{"subpaths", subPaths},
	{"memory volume", memoryVolume},
	{"security", security},
	{"termination", termination},
	{"killed container and sandbox", killed},
	{"deadline", activeDeadline},
	{"exec and logs", execAndLogs},
	{"attach", attach},
	{"port-forward", portForward},
	{"who may ask", whoMayAsk},
	{"image changed", imageChanged},
	{"images from a registry", registryImages},
	{"deleted while its image is pulled", deletedInPull},
	{"config error", configError},
	{"host network", hostNetwork},
	{"refused", refused},
	{"what the kubelet relies on in a runtime", runtimeContract},
}

func TestKubelet(t *testing.T) {
	n := startNode(t)
	stop := n.startKubelet(t)
	t.Run("side by side", func(t *testing.T) {
		for _, one := range cases {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				one.run(t, &kase{n, t})
			})
		}
	})
	t.Run("shares", func(t *testing.T) { shares(t, &kase{n, t}) })
	t.Run("thirty at once", func(t *testing.T) { thirty(t, &kase{n, t}) })
	t.Run("restart of the kubelet", func(t *testing.T) { adopted(t, &kase{n, t}, stop) })
}

// thirty: pods do not wait for each other.
func thirty(t *testing.T, c *kase) {
	const pods = 30
	name := func(i int) string { return fmt.Sprintf("many-%d", i) }
	begun := time.Now()
	for i := range pods {
		c.create(fmt.Sprintf("metadata: {name: %s}\nspec: {containers: [{name: main, command: [sleep, '1000']}]}", name(i)))
	}
	for i := range pods {
		c.ready(name(i))
	}
	t.Logf("%d pods ready in %s", pods, time.Since(begun))
	begun = time.Now()
	for i := range pods {
		c.delete(name(i), 1)
	}
	for i := range pods {
		c.gone(name(i))
	}
	t.Logf("%d pods gone in %s", pods, time.Since(begun))
}

// adopted: what runs goes on when the kubelet is restarted, what was deleted meanwhile ends.
func adopted(t *testing.T, c *kase, stop func()) {
	names := []string{"stays", "goes", "vanishes"}
	for _, name := range names {
		c.create("metadata: {name: " + name + "}\nspec: {containers: [{name: main, command: [sleep, '1000']}]}")
	}
	uids := map[string]string{}
	for _, name := range names {
		uids[name] = string(c.ready(name).UID)
	}
	before := c.get("stays").Status.ContainerStatuses[0]
	stop()
	c.delete("goes", 1)
	c.delete("vanishes", 0)
	c.gone("vanishes")
	c.startKubelet(t)
	c.gone("goes")
	runtime := c.runtime()
	c.eventually("vanishes to end", func() bool {
		all, err := runtime.Pods(t.Context())
		require.NoError(t, err)
		for uid, p := range all {
			if string(uid) == uids["vanishes"] {
				return len(p.Containers)+len(p.Sandboxes) == 0
			}
		}
		return true
	})
	after := c.ready("stays").Status.ContainerStatuses[0]
	require.Equal(t, before.ContainerID, after.ContainerID)
	require.Zero(t, after.RestartCount)
	pod, err := c.client.CoreV1().Pods("default").Get(t.Context(), "stays", metav1.GetOptions{})
	require.NoError(t, err)
	require.True(t, isReady(pod))
}
