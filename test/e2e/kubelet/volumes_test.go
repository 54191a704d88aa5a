package kubelet_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/kubelet/spec"
)

func environment(t *testing.T, c *kase) {
	core := c.client.CoreV1()
	cm, err := core.ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cm"}, Data: map[string]string{"k": "v1"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = core.Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sec"}, Data: map[string][]byte{"p": []byte("s3")}}, metav1.CreateOptions{})
	require.NoError(t, err)
	pod := c.create(`
metadata: {name: env, labels: {app: x}}
spec:
  hostAliases: [{ip: 1.2.3.4, hostnames: [foo]}]
  securityContext: {fsGroup: 77}
  volumes:
  - {name: cm, configMap: {name: cm}}
  - {name: sec, secret: {secretName: sec, defaultMode: 256}}
  - name: all
    projected:
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
  - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  containers:
  - name: main
    command: [sh, -c, "echo $A $(B) $POD; cat /cm/k /sec/p /all/labels /one; test -s /all/token && echo; grep foo /etc/hosts; id -G; stat -c '%a %g' /mem; head -n 1 /var/run/secrets/kubernetes.io/serviceaccount/ca.crt; exec sleep 1000"]
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
	want := "v1 b-v1 " + c.ready("env").Status.PodIP + "\nv1s3app=\"x\"v1\n1.2.3.4\tfoo\n0 77\n2777 77\n-----BEGIN CERTIFICATE-----\n"
	var got string
	c.eventually("env to have said "+want, func() bool {
		got = c.log("env", "main", corev1.PodLogOptions{})
		return strings.HasSuffix(got, "CERTIFICATE-----\n")
	})
	require.Equal(t, want, got)
	cm.Data["k"] = "v2"
	_, err = core.ConfigMaps("default").Update(t.Context(), cm, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.eventually("env to see the config map's new content", func() bool {
		out, err := c.exec("env", "", "cat", "/cm/k", "/one")
		return err == nil && out == "v2v1"
	})
	c.delete("env", 1)
	c.gone("env")
	require.NoDirExists(t, c.dir.Join("kubelet", "pods", string(pod.UID)))
}

// subPaths: a part of a volume, made if it is not there; never anything outside the volume.
func subPaths(t *testing.T, c *kase) {
	c.create(`
metadata: {name: parts}
spec:
  restartPolicy: Never
  volumes: [{name: v, emptyDir: {}}]
  initContainers:
  - name: fill
    command: [sh, -c, "mkdir /v/dir; echo in dir > /v/dir/f; echo alone > /v/file; ln -s dir /v/link"]
    volumeMounts: [{name: v, mountPath: /v}]
  containers:
  - name: main
    command: [sh, -c, "cat /dir/f /file /link/f; ls /new /named; echo made > /new/x; cat /v/new/deep/x; ls -d /v/pod-parts; touch /readonly/x 2>&1 || echo refused"]
    env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    volumeMounts:
    - {name: v, mountPath: /v}
    - {name: v, mountPath: /dir, subPath: dir}
    - {name: v, mountPath: /file, subPath: file}
    - {name: v, mountPath: /link, subPath: link}
    - {name: v, mountPath: /new, subPath: new/deep}
    - {name: v, mountPath: /named, subPathExpr: pod-$(POD)}
    - {name: v, mountPath: /readonly, subPath: dir, readOnly: true}
`)
	c.create(`
metadata: {name: escape}
spec:
  volumes: [{name: v, emptyDir: {}}]
  initContainers:
  - {name: lead, command: [ln, -s, /etc, /v/out], volumeMounts: [{name: v, mountPath: /v}]}
  containers:
  - {name: main, volumeMounts: [{name: v, mountPath: /out, subPath: out}]}
`)
	c.phase("parts", corev1.PodSucceeded)
	require.Contains(t, c.waiting("escape", "CreateContainerConfigError").State.Waiting.Message, `failed to prepare subPath for volumeMount "v"`)
	c.delete("escape", 1)
	log := c.log("parts", "main", corev1.PodLogOptions{})
	require.Equal(t, "in dir\nalone\nin dir\n/named:\n\n/new:\nmade\n/v/pod-parts\ntouch: /readonly/x: Read-only file system\nrefused\n", log)
}

// memoryVolume: a volume in memory is as large as it says, or as the memory that the pod may have, and outlives the container.
func memoryVolume(t *testing.T, c *kase) {
	c.create(`
metadata: {name: inmemory}
spec:
  volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: w, emptyDir: {medium: Memory}}]
  containers:
  - name: main
    resources: {limits: {memory: 32Mi}}
    command: [sh, -c, "test -e /v/kept && exec sleep 1000; head -c 2000000 /dev/zero 2>/dev/null > /v/big; stat -c '%s' /v/big; rm /v/big; touch /v/kept; grep ' /[vw] ' /proc/mounts"]
    volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}]
`)
	c.restarted("inmemory", 1)
	log := c.log("inmemory", "main", corev1.PodLogOptions{Previous: true})
	require.Contains(t, log, "1048576\n")
	require.Regexp(t, "tmpfs /v tmpfs rw,.*size=1024k", log)
	require.Regexp(t, "tmpfs /w tmpfs rw,.*size=32768k", log)
	c.delete("inmemory", 1)
	c.gone("inmemory")
}

func security(t *testing.T, c *kase) {
	c.create(`
metadata: {name: secure}
spec:
  restartPolicy: Never
  hostname: hh
  securityContext: {runAsUser: 1000, runAsGroup: 1001, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "80"}]}
  containers:
  - name: main
    command: [sh, -c, "id -u; id -g; hostname; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; touch /x 2>/dev/null || echo readonly"]
    resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {cpu: 200m, memory: 32Mi}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`)
	c.create(`
metadata: {name: root}
spec:
  securityContext: {runAsNonRoot: true}
  containers: [{name: main}]
`)
	c.phase("secure", corev1.PodSucceeded)
	require.Equal(t, "1000\n1001\nhh\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n80\nreadonly\n", c.log("secure", "main", corev1.PodLogOptions{}))
	c.waiting("root", "CreateContainerConfigError")
	c.event("root", "Failed Error: container has runAsNonRoot and image will run as root")
	c.delete("root", 1)
}

// cpuWeight is a group's share of the processor, on the scale of its cgroup version.
func cpuWeight(t *testing.T, group string) int64 {
	t.Helper()
	text, err := os.ReadFile("/sys/fs/cgroup/cpu" + group + "/cpu.shares")
	if os.IsNotExist(err) {
		text, err = os.ReadFile("/sys/fs/cgroup" + group + "/cpu.weight")
	}
	require.NoError(t, err)
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	require.NoError(t, err)
	return n
}

// cpuShares is what cpuWeight says of so many millicores.
func cpuShares(milli int64) int64 {
	shares := spec.Shares(milli)
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.shares"); err == nil {
		return shares
	}
	return 1 + (shares-2)*9999/262142
}
