package e2e

import (
	"bytes"
	"io"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"

	"bonsai/hack/images"
	"bonsai/pkg/machine"
	"bonsai/pkg/machine/netns"

	ggcr "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A node that runs a pod is killed with SIGKILL, all of it at once, and cleaned up after: nothing may be left.
func TestMachineIsLeftAsItWasFound(t *testing.T) {
	ctx := t.Context()
	ns := namespace(t)
	dir := nodeDir(t)
	setSysctl(t, ns, "net/ipv4/ip_forward", "0")
	before := startNode(t, ns, dir)
	require.Equal(t, "1", sysctl(t, ns, "net/ipv4/ip_forward"))
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
