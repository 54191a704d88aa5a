package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/hack/images"
	"bonsai/pkg/machine"
	"bonsai/pkg/machine/carried"
	"bonsai/pkg/machine/netns"

	ggcr "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A node that runs a pod is killed with SIGKILL, all of it at once, and cleaned up after: nothing may be left.
func TestMachineIsLeftAsItWasFound(t *testing.T) {
	ctx := t.Context()
	ns := namespace(t)
	dir := nodeDir(t)
	before := startNode(t, ns, dir)
	runtime := dialCRI(t, dir)
	address := runWebPod(t, runtime, dir)
	require.Equal(t, "ok\n", get(t, ns, "http://"+address+":8080/healthz"))

	require.Equal(t, "ok\n", get(t, podNamespace(t, dir), "http://127.0.0.1:8080/healthz"), "the pod's own loopback is up")

	left, err := machine.Prove(ctx, dir)
	require.NoError(t, err)
	require.Subset(t, kinds(left), []machine.Kind{machine.KindProcess, machine.KindMount, machine.KindLink,
		machine.KindChains, machine.KindCgroup, machine.KindPath}, "a running node shows itself to the proof")

	require.NoError(t, before.Process.Kill())
	before.Wait()
	require.NoError(t, machine.Cleanup(ctx, dir, progress(t)))
	left, err = machine.Prove(ctx, dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, machine.Cleanup(ctx, dir, progress(t)), "cleaning up again does nothing")

	require.Equal(t, "0", sysctl(t, ns, "net/ipv4/ip_forward"))

	// The next node knows the pod, knows that it is dead, and can take it away and run a new one.
	startNode(t, ns, dir)
	runtime = dialCRI(t, dir)
	list, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, cri.PodSandboxState_SANDBOX_NOTREADY, list.Items[0].State)
	_, err = runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: list.Items[0].Id})
	require.NoError(t, err)
	_, err = runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: list.Items[0].Id})
	require.NoError(t, err)
	address = runWebPod(t, runtime, dir)
	require.Equal(t, "ok\n", get(t, ns, "http://"+address+":8080/healthz"))
}

// Containers outlive containerd and the node process, and the next ones find them.
func TestContainersSurviveTheNodeProcess(t *testing.T) {
	ns := namespace(t)
	dir := nodeDir(t)
	first := startNode(t, ns, dir)
	address := runWebPod(t, dialCRI(t, dir), dir)
	require.NoError(t, first.Process.Kill())
	first.Wait()
	require.Equal(t, "ok\n", get(t, ns, "http://"+address+":8080/healthz"), "the container serves on")

	second := startNode(t, ns, dir)
	killChild(t, second.Process.Pid)
	list, err := dialCRI(t, dir).ListContainers(t.Context(), &cri.ListContainersRequest{}, grpc.WaitForReady(true))
	require.NoError(t, err)
	require.Len(t, list.Containers, 1)
	require.Equal(t, cri.ContainerState_CONTAINER_RUNNING, list.Containers[0].State)
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), "a node that is asked to stop ends cleanly")
}

// Rules that were there before the cluster stay, also those whose names look like its own; rules of the
// cluster go, whichever variant of iptables wrote them.
func TestOnlyOwnRulesAreRemoved(t *testing.T) {
	ns := namespace(t)
	dir := nodeDir(t)
	run(t, ns, "iptables-nft", "-t", "nat", "-N", "KUBE-THEIRS")
	run(t, ns, "iptables-nft", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")
	node := startNode(t, ns, dir)
	run(t, ns, "iptables-legacy", "-t", "nat", "-N", "CNI-HOSTPORT-DNAT")
	run(t, ns, "iptables-legacy", "-t", "nat", "-A", "PREROUTING", "-j", "CNI-HOSTPORT-DNAT")
	require.NoError(t, node.Process.Kill())
	node.Wait()
	require.NoError(t, machine.Cleanup(t.Context(), dir, progress(t)))

	left := run(t, ns, "iptables-nft-save")
	require.Contains(t, left, "KUBE-THEIRS")
	require.Contains(t, left, "192.0.2.1")
	require.NotContains(t, left, "BONSAI-")
	require.NotContains(t, run(t, ns, "iptables-legacy-save"), "CNI-")
}

// Archives of both kinds load, are listed and can be removed.
func TestImages(t *testing.T) {
	ctx := t.Context()
	ns := namespace(t)
	dir := nodeDir(t)
	node := startNode(t, ns, dir)
	store, err := machine.OpenImages(dir)
	require.NoError(t, err)
	defer store.Close()

	var layout bytes.Buffer
	require.NoError(t, images.WriteBusybox(&layout, "bonsai.test/busybox:1"))
	names, err := store.Load(ctx, &layout)
	require.NoError(t, err)
	require.Equal(t, []string{"bonsai.test/busybox:1"}, names)

	names, err = store.Load(ctx, dockerArchive(t, "example.com/empty:v1"))
	require.NoError(t, err)
	require.Equal(t, []string{"example.com/empty:v1"}, names)
	require.Equal(t, []string{"bonsai.local/pause:1", "bonsai.local/web:1", "bonsai.local/web:2", "bonsai.test/busybox:1", "example.com/empty:v1"}, listImages(t, store))

	_, err = store.Load(ctx, strings.NewReader("no archive"))
	require.Error(t, err)
	require.NoError(t, store.Remove(ctx, "example.com/empty:v1"))
	require.ErrorContains(t, store.Remove(ctx, "example.com/empty:v1"), "no such image")
	require.NotContains(t, listImages(t, store), "example.com/empty:v1")
	require.NoError(t, node.Process.Signal(syscall.SIGTERM))
	require.NoError(t, node.Wait())
}

// dockerArchive is an image as `docker save` writes it.
func dockerArchive(t *testing.T, name string) io.Reader {
	t.Helper()
	tag, err := ggcr.NewTag(name)
	require.NoError(t, err)
	image, err := random.Image(100, 2)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.OS, config.Architecture = "linux", goruntime.GOARCH
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, tarball.Write(tag, image, &out))
	return &out
}

func listImages(t *testing.T, store *machine.Images) []string {
	t.Helper()
	list, err := store.List(t.Context())
	require.NoError(t, err)
	var names []string
	for _, image := range list {
		require.Positive(t, image.Size, image.Name)
		names = append(names, image.Name)
	}
	return names
}

// run runs a program inside the namespace and returns its output.
func run(t *testing.T, ns netns.Namespace, name string, args ...string) string {
	t.Helper()
	var out []byte
	require.NoError(t, ns.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	}), "%s %v: %s", name, args, &out)
	return string(out)
}

var network = machine.Network{
	PodCIDR:     netip.MustParsePrefix("10.244.0.0/24"),
	ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"),
}

// nodeMain is a process that has a machine and runs containerd on it until it is asked to stop. It says on
// stdout when it is ready.
func nodeMain(path string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := runNode(ctx, machine.Dir(path)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runNode(ctx context.Context, dir machine.Dir) error {
	m, err := machine.Open(dir)
	if err != nil {
		return err
	}
	defer m.Close()
	archive, err := carried.Open()
	if err != nil {
		return err
	}
	if err := errors.Join(machine.Unpack(archive, dir), m.EnsureNetwork(ctx, network)); err != nil {
		return err
	}
	return machine.RunContainerd(ctx, machine.ContainerdConfig{
		Dir:     dir,
		Program: []string{"/proc/self/exe", "containerd"},
		Logger:  slog.Default(),
		Ready: func() {
			store, err := machine.OpenImages(dir)
			if err == nil {
				err = store.LoadCarried(ctx, archive)
			}
			fmt.Println("ready", err)
		},
	})
}

// startNode returns when the node is ready.
func startNode(t *testing.T, ns netns.Namespace, dir machine.Dir) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "node", string(dir))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	start := time.Now()
	require.NoError(t, ns.Do(cmd.Start))
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line := make([]byte, 64)
	n, err := out.Read(line)
	require.NoError(t, err, "the node ended before it was ready")
	require.Equal(t, "ready <nil>\n", string(line[:n]))
	t.Logf("node is ready after %s", time.Since(start))
	return cmd
}

// nodeDir is a data directory; when the test ends the machine is cleaned up after it. The network namespace
// must outlive it.
func nodeDir(t *testing.T) machine.Dir {
	t.Helper()
	path, err := os.MkdirTemp("", "bonsai-e2e-")
	require.NoError(t, err)
	dir, err := machine.NewDir(path)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, machine.Cleanup(context.Background(), dir, progress(t)))
		assert.NoError(t, machine.Purge(dir))
	})
	return dir
}

func namespace(t *testing.T) netns.Namespace {
	t.Helper()
	ns, err := netns.New(fmt.Sprintf("bonsai-e2e-%d", os.Getpid()), netip.MustParsePrefix("10.77.0.2/24"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ns.Delete()) })
	return ns
}

// killChild kills the only child of a node process, its containerd, and returns when that is gone.
func killChild(t *testing.T, pid int) {
	t.Helper()
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, file := range children {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
			require.Eventually(t, func() bool { return syscall.Kill(child, 0) != nil }, 5*time.Second, time.Millisecond)
			return
		}
	}
	t.Fatal("the node has no child")
}

// podNamespace is the network namespace of the only pod.
func podNamespace(t *testing.T, dir machine.Dir) netns.Namespace {
	t.Helper()
	found, err := filepath.Glob(dir.Join("containerd", "state", "*", "netns", "cni-*"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return netns.At(found[0])
}

func dialCRI(t *testing.T, dir machine.Dir) cri.RuntimeServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+dir.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return cri.NewRuntimeServiceClient(conn)
}

// runWebPod runs the carried web server in a pod and returns the pod's address when it answers there.
func runWebPod(t *testing.T, runtime cri.RuntimeServiceClient, dir machine.Dir) string {
	t.Helper()
	ctx := t.Context()
	start := time.Now()
	logs := dir.Join("logs", "pods", "web")
	require.NoError(t, os.MkdirAll(logs, 0o755))
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "web", Namespace: "default", Uid: "u1"},
		Hostname:     "web",
		LogDirectory: logs,
		Linux:        &cri.LinuxPodSandboxConfig{CgroupParent: dir.CgroupRoot() + "/pods/u1", SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: ownProcesses}},
	}
	sandbox, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config})
	require.NoError(t, err)
	t.Logf("sandbox runs after %s", time.Since(start))
	container, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId:  sandbox.PodSandboxId,
		SandboxConfig: config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "web"},
			Image:    &cri.ImageSpec{Image: "bonsai.local/web:1"},
			LogPath:  "web.log",
			Linux:    &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: ownProcesses}},
		},
	})
	require.NoError(t, err)
	_, err = runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: container.ContainerId})
	require.NoError(t, err)
	t.Logf("pod runs after %s", time.Since(start))
	status, err := runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: sandbox.PodSandboxId})
	require.NoError(t, err)
	return status.Status.Network.Ip
}

// ownProcesses is Kubernetes' default: each container sees only its own processes.
var ownProcesses = &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}

// get asks from inside the namespace, and again while nothing listens yet.
func get(t *testing.T, ns netns.Namespace, url string) string {
	t.Helper()
	var body []byte
	require.Eventually(t, func() bool {
		return ns.Do(func() error {
			out, err := exec.Command(os.Args[0], "get", url).Output()
			body = out
			return err
		}) == nil
	}, 10*time.Second, 20*time.Millisecond)
	return string(body)
}

// getMain is the process that get runs inside the namespace.
func getMain(url string) int {
	response, err := http.Get(url)
	if err != nil {
		return 1
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
	return 0
}

func sysctl(t *testing.T, ns netns.Namespace, name string) string {
	t.Helper()
	var value []byte
	require.NoError(t, ns.Do(func() (err error) {
		value, err = os.ReadFile(filepath.Join("/proc/sys", name))
		return err
	}))
	return string(value[:1])
}

func kinds(left []machine.Leftover) []machine.Kind {
	var out []machine.Kind
	for _, l := range left {
		out = append(out, l.Kind)
	}
	return out
}

func progress(t *testing.T) func(string) {
	return func(step string) { t.Log(step) }
}
