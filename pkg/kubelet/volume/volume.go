package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/kubelet/spec"
)

// Objects are the API objects that volumes show.
type Objects interface {
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	Secret(namespace, name string) (*corev1.Secret, error)
}

// Mounts mounts and records it; Unmount forgets it.
type Mounts interface {
	Tmpfs(path string, sizeBytes int64) error
	Unmount(path string) error
	// Bind mounts an open file or directory at a path.
	Bind(what *os.File, at string) error
	Mounted(path string) bool
	// Below lists the mount points at a path and below in the order in which they were made, those of the pod's own
	// containers (mountPropagation: Bidirectional) included.
	Below(dir string) ([]string, error)
}

// Manager makes the volumes of all pods. Calls for different pods may run side by side.
type Manager struct {
	Node    *spec.Node
	Objects Objects
	Tokens  *Tokens
	Mounts  Mounts

	mu      sync.Mutex
	written map[types.UID]map[string]string
}

// Result is what Sync found.
type Result struct {
	// Paths is where each volume that is ready is on the node.
	Paths map[string]string
	// Faults are the volumes that are not.
	Faults []Fault
	// Stale are volumes that stay in use although they could not be brought up to date.
	Stale []Fault
	// Again is when a token wants renewal; zero if none.
	Again time.Time
}

// Fault is a volume and what is wrong with it.
type Fault struct {
	Volume string
	Err    error
}

// Event is the message of the FailedMount event.
func (f Fault) Event() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", f.Volume, f.Err)
}

// Sync makes the pod's volumes and brings them up to date.
func (m *Manager) Sync(ctx context.Context, pod *corev1.Pod, podIPs []string, now time.Time) Result {
	r := Result{Paths: map[string]string{}}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		path, again, err := m.sync(ctx, pod, v, podIPs, now)
		switch {
		case err == nil:
			r.Paths[v.Name] = path
		case m.digest(pod.UID, v.Name) != "":
			r.Paths[v.Name] = path
			r.Stale = append(r.Stale, Fault{v.Name, err})
		default:
			r.Faults = append(r.Faults, Fault{v.Name, err})
		}
		if !again.IsZero() && (r.Again.IsZero() || again.Before(r.Again)) {
			r.Again = again
		}
	}
	return r
}

// sync makes one volume.
func (m *Manager) sync(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, ips []string, now time.Time) (path string, again time.Time, err error) {
	switch {
	case v.HostPath != nil:
		return v.HostPath.Path, again, checkHostPath(v.HostPath)
	case v.EmptyDir != nil:
		path = m.path(pod, "empty-dir", v.Name)
		return path, again, m.emptyDir(pod, v, path)
	}
	kind, memory := kindOf(v)
	if kind == "" {
		return "", again, fmt.Errorf("the volume's type is not supported by this node yet: use emptyDir, configMap, secret, downwardAPI, projected or hostPath")
	}
	path = m.path(pod, kind, v.Name)
	content, again, err := m.content(ctx, pod, v, ips, now)
	if err != nil {
		return path, again, err
	}
	return path, again, m.write(pod, v, path, content, memory)
}

// kindOf names the directory of a volume with content from the API, and tells whether it is kept in memory.
func kindOf(v *corev1.Volume) (kind string, memory bool) {
	switch {
	case v.ConfigMap != nil:
		return "configmap", false
	case v.Secret != nil:
		return "secret", true
	case v.DownwardAPI != nil:
		return "downward-api", true
	case v.Projected != nil:
		return "projected", true
	}
	return "", false
}

func (m *Manager) path(pod *corev1.Pod, kind, name string) string {
	return filepath.Join(m.Node.PodDir(pod), "volumes", "kubernetes.io~"+kind, name)
}

func (m *Manager) write(pod *corev1.Pod, v *corev1.Volume, path string, c content, memory bool) error {
	digest := c.digest()
	if m.digest(pod.UID, v.Name) == digest {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if memory && !m.Mounts.Mounted(path) {
		if err := m.Mounts.Tmpfs(path, 0); err != nil {
			return err
		}
	}
	if err := os.Chmod(path, 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := replace(path, c); err != nil {
		return err
	}
	m.remember(pod.UID, v.Name, digest)
	return nil
}

func (m *Manager) digest(uid types.UID, volume string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.written[uid][volume]
}

func (m *Manager) remember(uid types.UID, volume, digest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.written == nil {
		m.written = map[types.UID]map[string]string{}
	}
	if m.written[uid] == nil {
		m.written[uid] = map[string]string{}
	}
	m.written[uid][volume] = digest
}

// TearDown unmounts and removes all that the pod has on the node. What is mounted there and cannot be unmounted
// keeps the directory: nothing behind a mount is ever deleted.
func (m *Manager) TearDown(uid types.UID) error {
	m.mu.Lock()
	delete(m.written, uid)
	m.mu.Unlock()
	if m.Tokens != nil {
		m.Tokens.Forget(uid)
	}
	dir := filepath.Join(m.Node.RootDir, "pods", string(uid))
	mounts, err := m.Mounts.Below(dir)
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(mounts) {
		if err := m.Mounts.Unmount(path); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return os.RemoveAll(dir)
}
