//go:build e2e

package kubelet

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"bonsai/pkg/kubelet/cri"
)

// The tests with the build tag e2e run a real containerd. They need root, a network namespace of their own with
// lo up, /bin/busybox (static), and in $BONSAI_E2E_BIN: containerd, containerd-shim-runc-v2, runc, ctr, and the CNI
// plugins bridge, host-local, loopback and portmap.

const (
	busybox = "bonsai.local/busybox:1"
	pause1  = "bonsai.local/pause:1"
	cniConf = `{"cniVersion":"1.0.0","name":"bonsai","plugins":[{"type":"bridge","bridge":"kt0","isGateway":true,"ipMasq":false,
		"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":%q}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}`
)

// host is a machine with a containerd of its own.
type host struct {
	dir, socket string
}

func newHost(t *testing.T) *host {
	t.Helper()
	bin := os.Getenv("BONSAI_E2E_BIN")
	require.NotEmpty(t, bin, "BONSAI_E2E_BIN must name the directory with containerd, runc and the CNI plugins")
	dir, err := os.MkdirTemp("/tmp", "kt")
	require.NoError(t, err)
	h := &host{dir, dir + "/c.sock"}
	require.NoError(t, os.MkdirAll(dir+"/cni", 0o755))
	require.NoError(t, os.WriteFile(dir+"/config.toml", []byte(h.config(bin)), 0o644))
	cmd := exec.Command(bin+"/containerd", "-c", dir+"/config.toml", "-l", "warn")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	logs, err := os.Create(dir + "/containerd.log")
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = logs, logs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		h.removePods(t)
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		exec.Command("sh", "-c", "umount -l $(awk '{print $2}' /proc/mounts | grep ^"+dir+") 2>/dev/null").Run()
		require.NoError(t, os.RemoveAll(dir))
	})
	h.load(t, bin)
	return h
}

func (h *host) config(bin string) string {
	return fmt.Sprintf(`version = 4
root = "%[1]s/root"
state = "%[1]s/state"
imports = []
[plugins.'io.containerd.server.v1.grpc']
  address = "%[2]s"
[plugins.'io.containerd.server.v1.ttrpc']
  address = "%[2]s.ttrpc"
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = "%[1]s/s"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "%[4]s"
[plugins.'io.containerd.cri.v1.runtime']
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["%[3]s"]
    conf_dir = "%[1]s/cni"
    use_internal_loopback = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    runtime_path = "%[3]s/containerd-shim-runc-v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "%[3]s/runc"
      Root = "%[1]s/runc"
`, h.dir, h.socket, bin, pause1)
}

// load gives containerd an image with busybox, and one for sandboxes.
func (h *host) load(t *testing.T, bin string) {
	for ref, command := range map[string][]string{busybox: {"sh"}, pause1: {"/bin/busybox", "sleep", "1000000"}} {
		path := filepath.Join(h.dir, "image.tar")
		tag, err := name.NewTag(ref)
		require.NoError(t, err)
		require.NoError(t, tarball.WriteToFile(path, tag, image(t, command)))
		var out []byte
		require.Eventually(t, func() bool {
			var err error
			out, err = exec.Command(bin+"/ctr", "-a", h.socket, "-n", "k8s.io", "images", "import", "--local", path).CombinedOutput()
			return err == nil
		}, 20*time.Second, 50*time.Millisecond, "%s", out)
	}
}

// image is busybox with its applets as links.
func image(t *testing.T, command []string) v1.Image {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, d := range []string{"bin", "tmp", "etc", "dev", "proc", "sys"} {
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: 0o777}))
	}
	program, err := os.ReadFile("/bin/busybox")
	require.NoError(t, err)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}))
	_, err = w.Write(program)
	require.NoError(t, err)
	for _, applet := range []string{"sh", "sleep", "cat", "echo", "ls", "id", "httpd", "wget", "env", "true", "false", "touch", "hostname", "trap", "kill", "dd", "grep", "test", "stat", "nc", "date"} {
		require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}))
	}
	require.NoError(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	require.NoError(t, err)
	img, err := mutate.AppendLayers(empty.Image, layer)
	require.NoError(t, err)
	img, err = mutate.ConfigFile(img, configFile(t, img, command))
	require.NoError(t, err)
	return img
}

func configFile(t *testing.T, img v1.Image, command []string) *v1.ConfigFile {
	c, err := img.ConfigFile()
	require.NoError(t, err)
	c = c.DeepCopy()
	c.Architecture, c.OS = "amd64", "linux"
	c.Config.Cmd, c.Config.Env = command, []string{"PATH=/bin"}
	return c
}

func (h *host) removePods(t *testing.T) {
	r, err := cri.Dial(h.socket)
	require.NoError(t, err)
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pods, err := r.Pods(ctx)
	require.NoError(t, err)
	for _, p := range pods {
		for _, s := range p.Sandboxes {
			r.StopSandbox(ctx, s.ID)
			r.RemoveSandbox(ctx, s.ID)
		}
	}
}

// network writes the CNI configuration, as the machine does when the node has its pod CIDR.
func (h *host) network(cidr string) error {
	return os.WriteFile(h.dir+"/cni/10-bonsai.conflist", fmt.Appendf(nil, cniConf, h.dir+"/ipam", cidr), 0o644)
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}
