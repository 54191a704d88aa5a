//go:build e2e

package kubelet

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/kubelet/cri"
)

func TestLife(t *testing.T) {
	c := newCluster(t)
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c *cluster)
	}{
		{"runs to its end", runsToItsEnd},
		{"init containers and a sidecar", initContainers},
		{"crash loop", crashLoop},
		{"probes", probes},
		{"environment and volumes", environment},
		{"security", security},
		{"termination", termination},
		{"image cannot be had", badImage},
		{"killed container and sandbox", killed},
		{"deadline", activeDeadline},
		{"exec and logs", execAndLogs},
		{"image changed", imageChanged},
		{"config error", configError},
		{"cannot start", cannotStart},
		{"host network", hostNetwork},
		{"adopted", adopted},
	} {
		t.Run(test.name, func(t *testing.T) { inner := *c; inner.t = t; test.run(t, &inner); c.stop = inner.stop })
	}
}

func runsToItsEnd(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: ok}
spec:
  restartPolicy: Never
  containers:
  - {name: main, command: [sh, -c, "echo -n bye > /dev/termination-log"]}
`)
	p := c.phase("ok", corev1.PodSucceeded)
	s := p.Status.ContainerStatuses[0]
	require.Equal(t, "Completed", s.State.Terminated.Reason)
	require.Equal(t, "bye", s.State.Terminated.Message)
	c.pod(`
metadata: {name: bad}
spec:
  restartPolicy: Never
  containers:
  - {name: main, command: [sh, -c, "exit 3"]}
`)
	require.EqualValues(t, 3, c.phase("bad", corev1.PodFailed).Status.ContainerStatuses[0].State.Terminated.ExitCode)
}

func initContainers(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: inits}
spec:
  restartPolicy: Never
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
  terminationGracePeriodSeconds: 1
`)
	c.phase("inits", corev1.PodSucceeded)
	require.Equal(t, "1\nside\n2\n", c.logs("inits/main"))
}

func crashLoop(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: crash}
spec:
  containers:
  - {name: main, command: [sh, -c, "exit 1"]}
`)
	s := c.state("crash", func(s *corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
	})
	require.EqualValues(t, 1, s.RestartCount)
	require.EqualValues(t, 1, s.LastTerminationState.Terminated.ExitCode)
	require.Equal(t, "back-off 10s restarting failed container=main pod=crash_default(uid-crash)", s.State.Waiting.Message)
	require.Equal(t, corev1.PodRunning, c.get("crash").Status.Phase)
	c.event("crash", "BackOff Back-off restarting failed container main in pod crash_default(uid-crash)")
	c.delete("crash", 0)
	c.eventually(func() bool { return c.get("crash") == nil }, "crash to be gone")
}

func probes(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    command: [sh, -c, "mkdir -p /tmp/w; echo ok > /tmp/w/index.html; trap 'exit 0' TERM; httpd -p 8080 -h /tmp/w; while true; do sleep 1; done"]
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, failureThreshold: 1, successThreshold: 1}
    livenessProbe: {exec: {command: [test, "!", -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 1}
`)
	c.eventually(func() bool { return isReady(c.get("probed")) }, "probed to be ready")
	_, err := c.exec("probed/main", "command=touch&command=/tmp/sick&output=1&error=1", "")
	require.NoError(t, err)
	c.state("probed", func(s *corev1.ContainerStatus) bool { return s.RestartCount == 1 && s.Ready })
	c.event("probed", "Unhealthy Liveness probe failed: ")
	c.event("probed", "Killing Container main failed liveness probe, will be restarted")
	c.delete("probed", 1)
}

func environment(t *testing.T, c *cluster) {
	ctx := context.Background()
	_, err := c.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm", Namespace: "default"}, Data: map[string]string{"k": "v1"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sec", Namespace: "default"}, Data: map[string][]byte{"p": []byte("s3")}}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.pod(`
metadata: {name: env, labels: {app: x}}
spec:
  terminationGracePeriodSeconds: 0
  hostAliases: [{ip: 1.2.3.4, hostnames: [foo]}]
  securityContext: {fsGroup: 77}
  volumes:
  - {name: cm, configMap: {name: cm}}
  - {name: sec, secret: {secretName: sec, defaultMode: 256}}
  - name: all
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
  - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  containers:
  - name: main
    command: [sh, -c, "echo $A $(B) $POD; cat /cm/k /sec/p /all/token /all/labels /one; grep foo /etc/hosts; id; stat -c '%a %g' /mem; exec sleep 1000"]
    env:
    - {name: A, valueFrom: {configMapKeyRef: {name: cm, key: k}}}
    - {name: B, value: "b-$(A)"}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    volumeMounts:
    - {name: cm, mountPath: /cm}
    - {name: sec, mountPath: /sec}
    - {name: all, mountPath: /all}
    - {name: mem, mountPath: /mem}
    - {name: cm, mountPath: /one, subPath: k}
`)
	c.eventually(func() bool { return isReady(c.get("env")) }, "env to be ready")
	want := "v1 b-v1 " + c.get("env").Status.PodIP + "\nv1s3a-tokenapp=\"x\"v11.2.3.4\tfoo\nuid=0 gid=0 groups=0,77\n2777 77\n"
	c.eventually(func() bool { return c.logs("env/main") == want }, "log "+want+"; got "+c.logs("env/main"))
	cm, err := c.CoreV1().ConfigMaps("default").Get(ctx, "cm", metav1.GetOptions{})
	require.NoError(t, err)
	cm.Data["k"] = "v2"
	_, err = c.CoreV1().ConfigMaps("default").Update(ctx, cm, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.eventually(func() bool {
		out, err := c.exec("env/main", "command=cat&command=/cm/k&output=1&error=1", "")
		return err == nil && out == "v2"
	}, "the config map's new content")
	c.delete("env", 0)
	c.eventually(func() bool { return c.get("env") == nil }, "env to be gone")
	_, err = os.Stat(c.h.dir + "/kubelet/pods/uid-env")
	require.True(t, os.IsNotExist(err))
}

func security(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: secure}
spec:
  restartPolicy: Never
  hostname: hh
  securityContext: {runAsUser: 1000, runAsGroup: 1001, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "80"}]}
  containers:
  - name: main
    command: [sh, -c, "id -u; id -g; hostname; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; touch /x 2>/dev/null || echo readonly; cat /proc/self/oom_score_adj"]
    resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {cpu: 200m, memory: 32Mi}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`)
	c.phase("secure", corev1.PodSucceeded)
	log := c.logs("secure/main")
	require.True(t, strings.HasPrefix(log, "1000\n1001\nhh\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n80\n"), log)
	require.Contains(t, log, "readonly")
	c.pod(`
metadata: {name: root}
spec:
  securityContext: {runAsNonRoot: true}
  containers: [{name: main}]
`)
	c.state("root", func(s *corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "CreateContainerConfigError"
	})
	c.event("root", "Failed Error: container has runAsNonRoot and image will run as root")
	c.delete("root", 0)
}

func termination(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 60
  volumes: [{name: v, hostPath: {path: ` + c.h.dir + `/shared, type: DirectoryOrCreate}}]
  containers:
  - name: main
    command: [sh, -c, "trap 'echo term >> /v/log' TERM; while true; do sleep 1; done"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo prestop >> /v/log"]}}, postStart: {exec: {command: [sh, -c, "echo poststart >> /v/log"]}}}
    volumeMounts: [{name: v, mountPath: /v}]
`)
	c.eventually(func() bool { return isReady(c.get("stubborn")) }, "stubborn to be ready")
	c.delete("stubborn", 60)
	read := func() string { b, _ := os.ReadFile(c.h.dir + "/shared/log"); return string(b) }
	c.eventually(func() bool { return read() == "poststart\nprestop\nterm\n" }, "the hooks, then the signal")
	begun := time.Now()
	c.delete("stubborn", 1)
	c.eventually(func() bool { return c.get("stubborn") == nil }, "stubborn to be gone")
	require.Less(t, time.Since(begun), 10*time.Second)
	require.Equal(t, 1, strings.Count(read(), "prestop"), "the hook runs once although the stop was interrupted")
}

func badImage(t *testing.T, c *cluster) {
	pod := parsePod(t, `
metadata: {name: noimage}
spec:
  containers: [{name: main}]
`)
	pod.Spec.Containers[0].Image = "127.0.0.1:1/none"
	_, err := c.CoreV1().Pods("default").Create(context.Background(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	waitingFor := func(reason string) func(*corev1.ContainerStatus) bool {
		return func(s *corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && s.State.Waiting.Reason == reason
		}
	}
	c.state("noimage", waitingFor("ErrImagePull"))
	s := c.state("noimage", waitingFor("ImagePullBackOff"))
	require.Contains(t, s.State.Waiting.Message, `Back-off pulling image "127.0.0.1:1/none": ErrImagePull: `)
	require.Equal(t, corev1.PodPending, c.get("noimage").Status.Phase)
	c.event("noimage", `Failed Failed to pull image "127.0.0.1:1/none": `)
	c.delete("noimage", 0)
	c.eventually(func() bool { return c.get("noimage") == nil }, "noimage to be gone")
}

func killed(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: victim}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	c.eventually(func() bool { return isReady(c.get("victim")) }, "victim to be ready")
	r, err := cri.Dial(c.h.socket)
	require.NoError(t, err)
	defer r.Close()
	ctx := context.Background()
	p, err := r.Pod(ctx, "uid-victim")
	require.NoError(t, err)
	require.NoError(t, r.StopContainer(ctx, p.Containers[0].ID, 0))
	c.state("victim", func(s *corev1.ContainerStatus) bool { return s.RestartCount == 1 && s.Ready })
	require.NoError(t, r.StopSandbox(ctx, p.Sandboxes[0].ID))
	c.event("victim", "SandboxChanged Pod sandbox changed, it will be killed and re-created.")
	c.state("victim", func(s *corev1.ContainerStatus) bool { return s.RestartCount == 2 && s.Ready })
	c.delete("victim", 0)
}

func activeDeadline(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: late}
spec:
  activeDeadlineSeconds: 1
  terminationGracePeriodSeconds: 0
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	p := c.phase("late", corev1.PodFailed)
	require.Equal(t, "DeadlineExceeded", p.Status.Reason)
	require.Equal(t, "Pod was active on the node longer than the specified deadline", p.Status.Message)
}

func execAndLogs(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: talk}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, command: [sh, -c, "for i in 1 2 3 4 5; do echo line $i; done; exec sleep 1000"]}]
`)
	c.eventually(func() bool { return isReady(c.get("talk")) }, "talk to be ready")
	c.eventually(func() bool { return c.logs("talk/main?tailLines=2") == "line 4\nline 5\n" }, "the log's tail")
	out, err := c.exec("talk/main", "command=cat&input=1&output=1&error=1", "through and back")
	require.NoError(t, err)
	require.Equal(t, "through and back", out)
	_, err = c.exec("talk/main", "command=sh&command=-c&command=exit+7&output=1&error=1", "")
	require.ErrorContains(t, err, "exit code 7")
	resp, err := c.http().Get("https://127.0.0.1:10250/containerLogs/default/talk/nobody")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	anonymous := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err = anonymous.Get("https://127.0.0.1:10250/pods")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	c.delete("talk", 0)
}

func imageChanged(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: changing}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	c.eventually(func() bool { return isReady(c.get("changing")) }, "changing to be ready")
	p := c.get("changing")
	p.Spec.Containers[0].Image = pause1
	_, err := c.CoreV1().Pods("default").Update(context.Background(), p, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.event("changing", "Killing Container main definition changed, will be restarted")
	c.state("changing", func(s *corev1.ContainerStatus) bool { return s.RestartCount == 1 && s.Image == pause1 && s.Ready })
	c.delete("changing", 0)
}

func configError(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: lacking}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, command: [sleep, "1000"], envFrom: [{configMapRef: {name: later}}]}
`)
	s := c.state("lacking", func(s *corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "CreateContainerConfigError"
	})
	require.Equal(t, `configmap "later" not found`, s.State.Waiting.Message)
	_, err := c.CoreV1().ConfigMaps("default").Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "later", Namespace: "default"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.eventually(func() bool { return isReady(c.get("lacking")) }, "lacking to be ready")
	c.delete("lacking", 0)
}

func cannotStart(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: nocmd}
spec:
  containers: [{name: main, command: [nonsense]}]
`)
	s := c.state("nocmd", func(s *corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "RunContainerError"
	})
	require.Contains(t, s.State.Waiting.Message, `exec: "nonsense": executable file not found in $PATH`)
	s = c.state("nocmd", func(s *corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
	})
	require.Equal(t, "StartError", s.LastTerminationState.Terminated.Reason)
	c.delete("nocmd", 0)
}

func hostNetwork(t *testing.T, c *cluster) {
	c.pod(`
metadata: {name: hostly}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers: [{name: main, command: [sleep, "1000"]}]
`)
	c.eventually(func() bool { return isReady(c.get("hostly")) }, "hostly to be ready")
	require.Equal(t, "10.99.0.1", c.get("hostly").Status.PodIP)
	require.Zero(t, c.get("hostly").Status.ContainerStatuses[0].RestartCount)
	c.delete("hostly", 0)
}

// adopted restarts the kubelet: what runs goes on, what was deleted meanwhile ends.
func adopted(t *testing.T, c *cluster) {
	for _, name := range []string{"stays", "goes"} {
		c.pod("metadata: {name: " + name + "}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers: [{name: main, command: [sleep, '1000']}]\n")
		c.eventually(func() bool { return isReady(c.get(name)) }, name+" to be ready")
	}
	before := c.get("stays").Status.ContainerStatuses[0].ContainerID
	c.stop()
	require.NoError(t, c.CoreV1().Pods("default").Delete(context.Background(), "goes", metav1.DeleteOptions{}))
	c.start()
	r, err := cri.Dial(c.h.socket)
	require.NoError(t, err)
	defer r.Close()
	c.eventually(func() bool {
		p, err := r.Pod(context.Background(), "uid-goes")
		return err == nil && len(p.Containers)+len(p.Sandboxes) == 0
	}, "goes to be removed")
	s := c.get("stays")
	require.Equal(t, before, s.Status.ContainerStatuses[0].ContainerID)
	require.Zero(t, s.Status.ContainerStatuses[0].RestartCount)
	require.True(t, isReady(s))
}
