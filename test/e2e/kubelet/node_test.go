package kubelet_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"bonsai/hack/images"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/cluster/parts/apiserver"
	kubeletpart "bonsai/pkg/cluster/parts/kubelet"
	"bonsai/pkg/kubelet"
	"bonsai/pkg/machine"
	"bonsai/pkg/machine/carried"
	"bonsai/pkg/pki"
)

const (
	nodeName = "n1"
	nodeIP   = "10.77.0.2"
	busybox  = "bonsai.test/busybox:1"
)

var network = machine.Network{
	PodCIDR:     netip.MustParsePrefix("10.244.0.0/24"),
	ClusterCIDR: netip.MustParsePrefix(parts.ClusterCIDR),
}

// node is a node with an API server, and what the admin sees of it.
type node struct {
	dir    machine.Dir
	pki    *pki.PKI
	client kubernetes.Interface
	config *rest.Config
	log    *slog.Logger

	pods   corelisters.PodLister
	events corelisters.EventLister
	// mu guards changed, which is closed when a pod or an event has changed.
	mu      sync.Mutex
	changed chan struct{}
}

// startNode starts everything but the kubelet.
func startNode(t *testing.T) *node {
	n := &node{dir: dataDir, changed: make(chan struct{})}
	n.openLog(t)
	var err error
	n.pki, err = pki.Ensure(string(n.dir), parts.PKIOptions(nodeName, net.ParseIP(nodeIP), parts.APIPort, time.Now()))
	require.NoError(t, err)
	n.startAPIServer(t)
	n.startContainerd(t)
	n.watch(t)
	return n
}

// openLog collects the logs of all parts in a file, whose end a failed test shows.
func (n *node) openLog(t *testing.T) {
	path := n.dir.Join("test.log")
	file, err := os.Create(path)
	require.NoError(t, err)
	n.log = slog.New(slog.NewTextHandler(file, nil))
	klog.SetSlogLogger(n.log)
	t.Cleanup(func() {
		text, _ := os.ReadFile(path)
		if t.Failed() {
			t.Logf("the end of the log:\n%s", text[max(0, len(text)-16<<10):])
		}
	})
}

// background runs a part until the test ends, or the returned function is called; that returns when the part has ended.
func background(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

func (n *node) startAPIServer(t *testing.T) {
	background(t, func(ctx context.Context) error {
		return apiserver.Run(ctx, apiserver.Options{
			DataDir: string(n.dir), Port: parts.APIPort, AdvertiseIP: net.ParseIP(nodeIP), PKI: n.pki, Logger: n.log,
		})
	})
	var err error
	n.config, err = parts.ClientConfig(n.pki.Kubeconfig, "test")
	require.NoError(t, err)
	n.client, err = kubernetes.NewForConfig(n.config)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := n.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
		return err == nil
	}, 30*time.Second, 20*time.Millisecond, "the API server to be ready")
	n.furnish(t)
}

// furnish makes what controllers make in a whole cluster: the service account that pods run as, and the authority's certificate,
// which is mounted into them.
func (n *node) furnish(t *testing.T) {
	core := n.client.CoreV1()
	require.Eventually(t, func() bool {
		_, err := core.Namespaces().Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	}, 10*time.Second, 20*time.Millisecond, "the namespace default")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err := core.ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{})
	require.NoError(t, err)
	ca := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(n.pki.CA)}}
	_, err = core.ConfigMaps("default").Create(t.Context(), ca, metav1.CreateOptions{})
	require.NoError(t, err)
}

// startContainerd returns when containers can be run and the images are there.
func (n *node) startContainerd(t *testing.T) {
	m, err := machine.Open(n.dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	archive, err := carried.Open()
	require.NoError(t, err)
	require.NoError(t, machine.Unpack(archive, n.dir))
	require.NoError(t, m.EnsureNetwork(t.Context(), network))
	ready := make(chan struct{})
	background(t, func(ctx context.Context) error {
		return machine.RunContainerd(ctx, machine.ContainerdConfig{
			Dir: n.dir, Program: []string{"/proc/self/exe", "containerd"}, Ready: func() { close(ready) }, Logger: n.log,
		})
	})
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		require.FailNow(t, "containerd is not ready")
	}
	store, err := machine.OpenImages(n.dir)
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.LoadCarried(t.Context(), archive))
	var image bytes.Buffer
	require.NoError(t, images.WriteBusybox(&image, busybox))
	_, err = store.Load(t.Context(), &image)
	require.NoError(t, err)
}

// startKubelet runs a kubelet as it is alone in a process, with its own rights and its own view of the pods. It returns when
// the node is ready.
func (n *node) startKubelet(t *testing.T) (stop func()) {
	client, err := parts.Connect(n.pki.Component(pki.Kubelet), "kubelet")
	require.NoError(t, err)
	c := kubelet.Config{
		Client: client, Informers: parts.InformersOf(client, nodeName),
		NodeName: nodeName, NodeIPs: []string{nodeIP}, RuntimeEndpoint: n.dir.Socket(), CgroupRoot: n.dir.CgroupRoot(),
		ClusterDNS: []string{"10.96.0.10"}, Logger: n.log,
	}
	kubeletpart.Paths(&c, string(n.dir))
	stop = background(t, func(ctx context.Context) error { return kubelet.Run(ctx, c) })
	require.Eventually(t, func() bool {
		o, err := n.client.CoreV1().Nodes().Get(t.Context(), nodeName, metav1.GetOptions{})
		return err == nil && nodeReady(o)
	}, 30*time.Second, 20*time.Millisecond, "the node to be ready")
	return stop
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// watch keeps the pods and events at hand, so that cases can wait for something without asking the API server again and again.
func (n *node) watch(t *testing.T) {
	factory := parts.Informers(n.client)
	notify := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { n.notify() }, UpdateFunc: func(any, any) { n.notify() }, DeleteFunc: func(any) { n.notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{factory.Core().V1().Pods().Informer(), factory.Core().V1().Events().Informer()} {
		_, err := informer.AddEventHandler(notify)
		require.NoError(t, err)
	}
	n.pods, n.events = factory.Core().V1().Pods().Lister(), factory.Core().V1().Events().Lister()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); factory.Shutdown() })
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
}

func (n *node) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// next is closed at the next change.
func (n *node) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}
