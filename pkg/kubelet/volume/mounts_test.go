package volume

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/spec"
)

// A container that mounts for all to see (mountPropagation: Bidirectional) leaves its mount in the pod's directory. When
// the pod goes the mount goes, and what was mounted stays as it is.
func TestTearDownDeletesNothingBehindAMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("mounting needs root; there is nothing to look at without")
		return
	}
	ownMounts(t)
	theirs := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(theirs, "thesis.txt"), nil, 0o600))
	m := &Manager{Node: &spec.Node{RootDir: t.TempDir()}, Mounts: KernelMounts{}}
	pod := podWith(corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	at := filepath.Join(m.Node.PodDir(pod), "volumes", "kubernetes.io~empty-dir", "v", "deep", "in it")
	require.NoError(t, os.MkdirAll(at, 0o755))
	require.NoError(t, unix.Mount(theirs, at, "", unix.MS_BIND, ""))
	require.NoError(t, m.TearDown(pod.UID))
	require.FileExists(t, filepath.Join(theirs, "thesis.txt"))
	require.NoDirExists(t, m.Node.PodDir(pod))
}

// ownMounts gives the test's thread a mount namespace of its own. The thread ends with the test.
func ownMounts(t *testing.T) {
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// A subPath is what it was when the container started, whatever another container makes of the path since; and a path that
// leads out of the volume stays in it.
func TestSubPathIsResolvedOnce(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("mounting needs root; there is nothing to look at without")
		return
	}
	ownMounts(t)
	m := &Manager{Node: &spec.Node{RootDir: t.TempDir()}, Mounts: KernelMounts{}}
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "data"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "data", "mine"), []byte("1"), 0o600))
	at, err := m.SubPath("u", "v", root, "data", "c", 0)
	require.NoError(t, err)

	require.NoError(t, os.Rename(filepath.Join(root, "data"), filepath.Join(root, "old")))
	require.NoError(t, os.Symlink("/", filepath.Join(root, "data")))
	require.Equal(t, "1", read(t, at, "mine"), "the mount does not follow the name")

	again, err := m.SubPath("u", "v", root, "data", "c", 0)
	require.NoError(t, err)
	require.Equal(t, at, again)
	require.FileExists(t, filepath.Join(again, "old", "mine"), "/ is the volume's own root")

	file, err := m.SubPath("u", "v", root, "old/mine", "c", 1)
	require.NoError(t, err)
	require.Equal(t, "1", read(t, file))
	made, err := m.SubPath("u", "v", root, "new/deep", "c", 2)
	require.NoError(t, err)
	require.DirExists(t, made)
	require.DirExists(t, filepath.Join(root, "new", "deep"))

	require.NoError(t, m.TearDown("u"))
	require.Equal(t, "1", read(t, root, "old", "mine"))
}
