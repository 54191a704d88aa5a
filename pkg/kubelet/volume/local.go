package volume

import (
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"bonsai/pkg/kubelet/spec"
)

// emptyDir makes an empty directory that everybody may write to, in memory if asked for.
func (m *Manager) emptyDir(pod *corev1.Pod, v *corev1.Volume, path string) error {
	if m.digest(pod.UID, v.Name) != "" {
		return nil
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	switch v.EmptyDir.Medium {
	case corev1.StorageMediumDefault:
	case corev1.StorageMediumMemory:
		size := m.memorySize(pod, v.EmptyDir)
		if !m.Mounts.Mounted(path) {
			if err := m.Mounts.Tmpfs(path, size); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("unknown storage medium %q: this node has the disk (\"\") and Memory", v.EmptyDir.Medium)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	if err := m.own(pod, path); err != nil {
		return err
	}
	m.remember(pod.UID, v.Name, "empty-dir")
	return nil
}

// memorySize is how large a volume in memory may get: what it says, but no more than the pod may have, or the node has.
func (m *Manager) memorySize(pod *corev1.Pod, v *corev1.EmptyDirVolumeSource) int64 {
	size := m.Node.Memory
	limit := spec.PodLimit(pod, corev1.ResourceMemory)
	for _, q := range []*resource.Quantity{&limit, v.SizeLimit} {
		if q != nil && !q.IsZero() && (size == 0 || q.Value() < size) {
			size = q.Value()
		}
	}
	return size
}

// own gives a volume that the pod writes to the pod's group, and what is made in it later too.
func (m *Manager) own(pod *corev1.Pod, root string) error {
	sc := pod.Spec.SecurityContext
	if sc == nil || sc.FSGroup == nil {
		return nil
	}
	return filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, -1, int(*sc.FSGroup)); err != nil || d.Type()&os.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode() | 0o660
		if d.IsDir() {
			mode |= 0o770 | os.ModeSetgid
		}
		return os.Chmod(path, mode)
	})
}

// checkHostPath makes the path if its type says so, and checks that it is what its type says.
func checkHostPath(h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	switch kind {
	case corev1.HostPathUnset:
		return nil
	case corev1.HostPathDirectoryOrCreate:
		if err := os.MkdirAll(h.Path, 0o755); err != nil {
			return err
		}
		kind = corev1.HostPathDirectory
	case corev1.HostPathFileOrCreate:
		f, err := os.OpenFile(h.Path, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return err
		}
		f.Close()
		kind = corev1.HostPathFile
	}
	info, err := os.Stat(h.Path)
	if err != nil || !hostPathIs[kind].match(info.Mode()) {
		return fmt.Errorf("hostPath type check failed: %s is not %s", h.Path, hostPathIs[kind].words)
	}
	return nil
}

var hostPathIs = map[corev1.HostPathType]struct {
	words string
	match func(os.FileMode) bool
}{
	corev1.HostPathDirectory: {"a directory", os.FileMode.IsDir},
	corev1.HostPathFile:      {"a file", os.FileMode.IsRegular},
	corev1.HostPathSocket:    {"a socket file", func(m os.FileMode) bool { return m&os.ModeSocket != 0 }},
	corev1.HostPathCharDev:   {"a character device", func(m os.FileMode) bool { return m&os.ModeCharDevice != 0 }},
	corev1.HostPathBlockDev:  {"a block device", func(m os.FileMode) bool { return m&os.ModeDevice != 0 && m&os.ModeCharDevice == 0 }},
}
