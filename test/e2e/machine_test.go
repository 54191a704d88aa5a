package e2e

import (
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
	"syscall"
	"testing"
	"time"

	"bonsai/pkg/machine"
	"bonsai/pkg/machine/carried"
	"bonsai/pkg/machine/netns"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A node that runs a pod is killed with SIGKILL, all of it at once, and cleaned up after: nothing may be left.
func TestMachineIsLeftAsItWasFound(t *testing.T) {
	ctx := t.Context()
	dir := nodeDir(t)
	ns := namespace(t)
	before := startNode(t, ns, dir)
	runtime := dialCRI(t, dir)
	address := runWebPod(t, runtime, dir)
	require.Equal(t, "ok\n", get(t, ns, "http://"+address+":8080/healthz"))

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
}

// Containers outlive containerd and the node process, and the next ones find them.
func TestContainersSurviveTheNodeProcess(t *testing.T) {
	dir := nodeDir(t)
	ns := namespace(t)
	t.Cleanup(func() { require.NoError(t, machine.Cleanup(context.Background(), dir, progress(t))) })
	first := startNode(t, ns, dir)
	address := runWebPod(t, dialCRI(t, dir), dir)
	require.NoError(t, first.Process.Kill())
	first.Wait()
	require.Equal(t, "ok\n", get(t, ns, "http://"+address+":8080/healthz"), "the container serves on")

	second := startNode(t, ns, dir)
	list, err := dialCRI(t, dir).ListContainers(t.Context(), &cri.ListContainersRequest{})
	require.NoError(t, err)
	require.Len(t, list.Containers, 1)
	require.Equal(t, cri.ContainerState_CONTAINER_RUNNING, list.Containers[0].State)
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), "a node that is asked to stop ends cleanly")
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
	archive, err := carried.Embedded()
	if err != nil {
		return err
	}
	if err := errors.Join(m.Unpack(archive), m.EnsureNetwork(ctx, network)); err != nil {
		return err
	}
	return m.RunContainerd(ctx, machine.ContainerdConfig{
		Program: []string{"/proc/self/exe", "containerd"},
		Logger:  slog.Default(),
		Ready: func() {
			images, err := machine.OpenImages(dir)
			if err == nil {
				err = images.LoadCarried(ctx, archive)
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

func nodeDir(t *testing.T) machine.Dir {
	t.Helper()
	path, err := os.MkdirTemp("", "bonsai-e2e-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(path) })
	dir, err := machine.NewDir(path)
	require.NoError(t, err)
	return dir
}

func namespace(t *testing.T) netns.Namespace {
	t.Helper()
	ns, err := netns.New(fmt.Sprintf("bonsai-e2e-%d", os.Getpid()), netip.MustParsePrefix("10.77.0.2/24"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ns.Delete()) })
	return ns
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
		Linux:        &cri.LinuxPodSandboxConfig{CgroupParent: dir.CgroupRoot() + "/pods/u1"},
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
			Linux:    &cri.LinuxContainerConfig{},
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
