package kubelet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func runsToItsEnd(t *testing.T, c *kase) {
	c.create(`
metadata: {name: good}
spec:
  restartPolicy: Never
  containers: [{name: main, command: ["true"]}]
`)
	c.create(`
metadata: {name: bad}
spec:
  restartPolicy: Never
  containers: [{name: main, command: [sh, -c, "exit 3"]}]
`)
	require.Equal(t, "Completed", c.phase("good", corev1.PodSucceeded).Status.ContainerStatuses[0].State.Terminated.Reason)
	require.EqualValues(t, 3, c.phase("bad", corev1.PodFailed).Status.ContainerStatuses[0].State.Terminated.ExitCode)
}

// lastWords: a container's message comes from the file it names, or from its log if it asked for that and failed.
func lastWords(t *testing.T, c *kase) {
	c.create(`
metadata: {name: words}
spec:
  restartPolicy: Never
  containers:
  - {name: a, command: [sh, -c, "echo -n bye > /dev/termination-log"]}
  - {name: b, command: [sh, -c, "echo -n own > /tmp/why"], terminationMessagePath: /tmp/why}
  - {name: c, command: [sh, -c, "echo said; echo this; exit 1"], terminationMessagePolicy: FallbackToLogsOnError}
  - {name: d, command: [sh, -c, "echo said; exit 1"]}
  - {name: e, command: [sh, -c, "head -c 10000 /dev/zero | tr '\\0' x > /dev/termination-log"]}
`)
	got := map[string]string{}
	for _, s := range c.phase("words", corev1.PodFailed).Status.ContainerStatuses {
		got[s.Name] = s.State.Terminated.Message
	}
	want := map[string]string{"a": "bye", "b": "own", "c": "said\nthis\n", "d": "", "e": strings.Repeat("x", 4096)}
	require.Equal(t, want, got)
}

func initContainers(t *testing.T, c *kase) {
	c.create(`
metadata: {name: inits}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  volumes: [{name: v, emptyDir: {}}]
  initContainers:
  - {name: one, command: [sh, -c, "echo 1 >> /v/order"], volumeMounts: [{name: v, mountPath: /v}]}
  - name: side
    restartPolicy: Always
    command: [sh, -c, "echo side >> /v/order; touch /v/up; exec sleep 1000"]
    startupProbe: {exec: {command: [test, -e, /v/up]}, periodSeconds: 1, failureThreshold: 5}
    volumeMounts: [{name: v, mountPath: /v}]
  - {name: two, command: [sh, -c, "echo 2 >> /v/order"], volumeMounts: [{name: v, mountPath: /v}]}
  containers:
  - {name: main, command: [cat, /v/order], volumeMounts: [{name: v, mountPath: /v}]}
`)
	c.phase("inits", corev1.PodSucceeded)
	require.Equal(t, "1\nside\n2\n", c.log("inits", "main", corev1.PodLogOptions{}))
}

// sidecarOutlives: a sidecar runs while the main container is restarted, ends after it, and the pod ends when the
// sidecar has.
func sidecarOutlives(t *testing.T, c *kase) {
	c.create(`
metadata: {name: outlived}
spec:
  restartPolicy: OnFailure
  volumes: [{name: v, hostPath: {path: ` + c.dir.Join("outlived") + `, type: DirectoryOrCreate}}]
  initContainers:
  - name: side
    restartPolicy: Always
    command: [sh, -c, "echo up >> /v/log; trap 'sleep 1; echo side >> /v/log; exit 0' TERM; while true; do sleep 0.1; done"]
    volumeMounts: [{name: v, mountPath: /v}]
  containers:
  - name: main
    command: [sh, -c, "test -e /v/again && echo main >> /v/log && exit 0; touch /v/again; exit 1"]
    volumeMounts: [{name: v, mountPath: /v}]
`)
	p := c.phase("outlived", corev1.PodSucceeded)
	text, err := os.ReadFile(c.dir.Join("outlived", "log"))
	require.NoError(t, err)
	require.Equal(t, "up\nmain\nside\n", string(text))
	require.EqualValues(t, 1, p.Status.ContainerStatuses[0].RestartCount)
	require.NotNil(t, p.Status.InitContainerStatuses[0].State.Terminated)
	require.Zero(t, p.Status.InitContainerStatuses[0].RestartCount)
}

func crashLoop(t *testing.T, c *kase) {
	p := c.create(`
metadata: {name: crash}
spec:
  containers: [{name: main, command: [sh, -c, "exit 1"]}]
`)
	s := c.waiting("crash", "CrashLoopBackOff")
	full := "crash_default(" + string(p.UID) + ")"
	require.EqualValues(t, 1, s.RestartCount)
	require.EqualValues(t, 1, s.LastTerminationState.Terminated.ExitCode)
	require.Equal(t, "back-off 10s restarting failed container=main pod="+full, s.State.Waiting.Message)
	require.Equal(t, corev1.PodRunning, c.get("crash").Status.Phase)
	c.event("crash", "BackOff Back-off restarting failed container main in pod "+full)
	c.delete("crash", 1)
	c.gone("crash")
}

func termination(t *testing.T, c *kase) {
	c.create(`
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 60
  volumes: [{name: v, hostPath: {path: ` + c.dir.Join("stubborn") + `, type: DirectoryOrCreate}}]
  containers:
  - name: main
    command: [sh, -c, "trap 'echo term >> /v/log' TERM; while true; do sleep 0.1; done"]
    lifecycle:
      preStop: {exec: {command: [sh, -c, "echo prestop >> /v/log"]}}
      postStart: {exec: {command: [sh, -c, "sleep 0.5; echo poststart >> /v/log"]}}
    volumeMounts: [{name: v, mountPath: /v}]
`)
	c.ready("stubborn")
	c.delete("stubborn", 60)
	read := func() string { b, _ := os.ReadFile(c.dir.Join("stubborn", "log")); return string(b) }
	c.eventually("stubborn to run its hooks, then get the signal", func() bool { return read() == "poststart\nprestop\nterm\n" })
	begun := time.Now()
	c.delete("stubborn", 1)
	c.gone("stubborn")
	require.Less(t, time.Since(begun), 20*time.Second)
	require.Equal(t, 1, strings.Count(read(), "prestop"), "the hook runs once although the stop was interrupted")
}

func killed(t *testing.T, c *kase) {
	pod := c.create(`
metadata: {name: victim}
spec:
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	c.ready("victim")
	r := c.runtime()
	p, err := r.Pod(t.Context(), pod.UID)
	require.NoError(t, err)
	require.NoError(t, r.StopContainer(t.Context(), p.Containers[0].ID, 0))
	c.restarted("victim", 1)
	require.NoError(t, r.StopSandbox(t.Context(), p.Sandboxes[0].ID))
	c.event("victim", "SandboxChanged Pod sandbox changed, it will be killed and re-created.")
	c.restarted("victim", 2)
	c.delete("victim", 1)
}

func activeDeadline(t *testing.T, c *kase) {
	c.create(`
metadata: {name: late}
spec:
  activeDeadlineSeconds: 1
  terminationGracePeriodSeconds: 1
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	p := c.phase("late", corev1.PodFailed)
	require.Equal(t, "DeadlineExceeded", p.Status.Reason)
	require.Equal(t, "Pod was active on the node longer than the specified deadline", p.Status.Message)
}

func configError(t *testing.T, c *kase) {
	c.create(`
metadata: {name: lacking}
spec:
  containers:
  - {name: main, command: [sleep, "1000"], envFrom: [{configMapRef: {name: later}}]}
`)
	require.Equal(t, `configmap "later" not found`, c.waiting("lacking", "CreateContainerConfigError").State.Waiting.Message)
	later := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "later"}}
	_, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), later, metav1.CreateOptions{})
	require.NoError(t, err)
	c.ready("lacking")
	c.delete("lacking", 1)
}

func cannotStart(t *testing.T, c *kase) {
	c.create(`
metadata: {name: nocmd}
spec:
  containers: [{name: main, command: [nonsense]}]
`)
	require.Contains(t, c.waiting("nocmd", "RunContainerError").State.Waiting.Message, `exec: "nonsense": executable file not found in $PATH`)
	require.Equal(t, "StartError", c.waiting("nocmd", "CrashLoopBackOff").LastTerminationState.Terminated.Reason)
	c.delete("nocmd", 1)
}

func hostNetwork(t *testing.T, c *kase) {
	c.create(`
metadata: {name: hostly}
spec:
  hostNetwork: true
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	p := c.ready("hostly")
	require.Equal(t, nodeIP, p.Status.PodIP)
	require.Zero(t, p.Status.ContainerStatuses[0].RestartCount)
	c.delete("hostly", 1)
}

// refused: a pod that asks for more than the node has fails, and says so.
func refused(t *testing.T, c *kase) {
	c.create(`
metadata: {name: huge}
spec:
  containers: [{name: main, resources: {requests: {cpu: "1000"}}}]
`)
	require.Equal(t, "OutOfcpu", c.phase("huge", corev1.PodFailed).Status.Reason)
	c.event("huge", "OutOfcpu Node didn't have enough resource: cpu, requested: 1000000, used: ")
}

// shares: what a pod asked for is its share of the processor, and burstable pods have together what they asked for together.
func shares(t *testing.T, c *kase) {
	names := map[string]string{}
	for name, cpu := range map[string]string{"sharing-a": "250m", "sharing-b": "150m"} {
		pod := c.create("metadata: {name: " + name + "}\nspec: {containers: [{name: main, command: [sleep, '1000'], resources: {requests: {cpu: " + cpu + "}}}]}")
		names[name] = "pod" + string(pod.UID)
	}
	c.ready("sharing-a")
	c.ready("sharing-b")
	class := filepath.Join(c.dir.CgroupRoot(), "kubepods", "burstable")
	require.Equal(t, cpuShares(250), cpuWeight(t, filepath.Join(class, names["sharing-a"])))
	c.eventually("sharing-a and sharing-b to have 400m", func() bool { return cpuWeight(t, class) == cpuShares(400) })
	c.delete("sharing-b", 1)
	c.gone("sharing-b")
	c.eventually("sharing-a to have 250m", func() bool { return cpuWeight(t, class) == cpuShares(250) })
	c.delete("sharing-a", 1)
	c.gone("sharing-a")
}
