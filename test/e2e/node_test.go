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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bonsai/pkg/machine"
	"bonsai/pkg/machine/carried"
	"bonsai/pkg/machine/netns"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

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

func setSysctl(t *testing.T, ns netns.Namespace, name, value string) {
	t.Helper()
	require.NoError(t, ns.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644) }))
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
