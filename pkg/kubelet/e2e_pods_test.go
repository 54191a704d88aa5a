//go:build e2e

package kubelet

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

// cluster is a kubelet on a real containerd with an API server in memory.
type cluster struct {
	*fake.Clientset
	t    *testing.T
	h    *host
	stop func()
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{Clientset: fake.NewClientset(), t: t, h: newHost(t)}
	c.PrependReactor("create", "serviceaccounts", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "token" {
			return false, nil, nil
		}
		return true, &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{
			Token: "a-token", ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Hour))}}, nil
	})
	c.start()
	return c
}

// start runs a kubelet until the test ends or stop is called.
func (c *cluster) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run1(ctx, c) }()
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(c.t, <-done)
	}
	c.t.Cleanup(c.stop)
	c.waitNode()
}

func run1(ctx context.Context, c *cluster) error {
	conf := Config{
		Client: c, Informers: informers.NewSharedInformerFactory(c, 0), NodeName: "n1", NodeIPs: []string{"10.99.0.1"},
		RuntimeEndpoint: c.h.socket, RootDir: c.h.dir + "/kubelet", LogsDir: c.h.dir + "/logs", CgroupRoot: "/kt" + c.h.dir[len("/tmp/kt"):],
		ServerAddr: "127.0.0.1:10250", MaxPods: 110, ClusterDomain: "cluster.local", ClusterDNS: []string{"10.96.0.10"},
		Logger: logger(c.t),
	}
	require.NoError(c.t, c.h.network("10.99.1.0/24"))
	conf.ServingCert, conf.ServingKey, conf.ClientCA = certs(c.t, c.h.dir)
	return Run(ctx, conf)
}

// waitNode gives the node its pod CIDR, as the node controller does, and waits until it is ready.
func (c *cluster) waitNode() {
	c.eventually(func() bool {
		n, err := c.CoreV1().Nodes().Get(context.Background(), "n1", metav1.GetOptions{})
		if err != nil {
			return false
		}
		if n.Spec.PodCIDR == "" {
			n.Spec.PodCIDR = "10.99.1.0/24"
			_, err := c.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{})
			require.NoError(c.t, err)
		}
		for _, x := range n.Status.Conditions {
			if x.Type == corev1.NodeReady {
				return x.Status == corev1.ConditionTrue
			}
		}
		return false
	}, "node n1 to be ready")
}

func (c *cluster) eventually(ok func() bool, what string) {
	c.t.Helper()
	require.Eventually(c.t, ok, 40*time.Second, 10*time.Millisecond, what)
}

// pod makes a pod from YAML, with what the API server would default.
func (c *cluster) pod(text string) *corev1.Pod {
	pod := parsePod(c.t, text)
	pod, err := c.CoreV1().Pods("default").Create(context.Background(), pod, metav1.CreateOptions{})
	require.NoError(c.t, err)
	return pod
}

func parsePod(t *testing.T, text string) *corev1.Pod {
	pod := &corev1.Pod{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), pod))
	pod.Namespace, pod.UID, pod.Spec.NodeName = "default", types.UID("uid-"+pod.Name), "n1"
	pod.Generation = 1
	if pod.Spec.RestartPolicy == "" {
		pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	pod.Spec.DNSPolicy = corev1.DNSClusterFirst
	for _, c := range allContainers(pod) {
		c.Image = busybox
		c.ImagePullPolicy = corev1.PullIfNotPresent
		c.TerminationMessagePath = "/dev/termination-log"
	}
	return pod
}

func (c *cluster) get(name string) *corev1.Pod {
	pod, err := c.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(c.t, err)
	return pod
}

// delete asks for graceful deletion, as the API server notes it in the object.
func (c *cluster) delete(name string, grace int64) {
	pod := c.get(name)
	now := metav1.Now()
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &now, &grace
	_, err := c.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{})
	require.NoError(c.t, err)
}

func isReady(p *corev1.Pod) bool {
	for _, x := range p.Status.Conditions {
		if x.Type == corev1.PodReady {
			return x.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestSimplePod(t *testing.T) {
	c := newCluster(t)
	begun := time.Now()
	c.pod(`
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    command: [sh, -c, "echo hello; exec sleep 1000"]
`)
	c.eventually(func() bool { return isReady(c.get("web")) }, "web to be ready")
	t.Logf("created to ready in %s", time.Since(begun))
	text, err := yaml.Marshal(c.get("web").Status)
	require.NoError(t, err)
	t.Logf("%s", text)
	c.delete("web", 1)
	c.eventually(func() bool { return c.get("web") == nil }, "web to be gone")
}
