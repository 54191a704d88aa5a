package kubelet

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/server"
)

// Logs are rotated at this size, and this many files of a container are kept, the one being written included.
const (
	maxLogSize  = 10 << 20
	maxLogFiles = 5
	// rotateEvery is how often sizes are looked at.
	rotateEvery = 10 * time.Second
)

// rotate keeps the logs of running containers small until ctx ends.
func (k *kubelet) rotate(ctx context.Context) {
	for pause(ctx, rotateEvery) {
		large, _ := filepath.Glob(filepath.Join(k.LogsDir, "pods", "*", "*", "*.log"))
		large = slices.DeleteFunc(large, func(path string) bool {
			info, err := os.Stat(path)
			return err != nil || info.Size() < maxLogSize
		})
		if len(large) == 0 {
			continue
		}
		if err := k.rotateAll(ctx, large); err != nil && ctx.Err() == nil {
			k.Logger.Warn("logs not rotated", "error", err)
		}
	}
}

// rotateAll rotates those of the logs that a running container writes.
func (k *kubelet) rotateAll(ctx context.Context, paths []string) error {
	pods, err := k.runtime.Pods(ctx)
	if err != nil {
		return err
	}
	for _, p := range pods {
		for _, c := range p.Containers {
			if c.State != cri.Running || !slices.Contains(paths, c.LogPath) {
				continue
			}
			if err := rotateLog(c.LogPath, time.Now(), func() error { return k.runtime.ReopenLog(ctx, c.ID) }); err != nil {
				return fmt.Errorf("rotate %s: %w", c.LogPath, err)
			}
		}
	}
	return nil
}

// rotateLog moves a log away, has a new one begun, and compresses the one before: the last one moved stays as it
// is, because somebody may still be reading it. If no new log was begun the old one is moved back.
func rotateLog(path string, now time.Time, reopen func() error) error {
	old, err := filepath.Glob(path + ".*")
	if err != nil {
		return err
	}
	slices.Sort(old)
	for _, p := range old[:max(0, len(old)-(maxLogFiles-2))] {
		if err := os.Remove(p); err != nil {
			return err
		}
	}
	for _, p := range old[max(0, len(old)-(maxLogFiles-2)):] {
		if filepath.Ext(p) != ".gz" {
			if err := compress(p); err != nil {
				return err
			}
		}
	}
	moved := path + "." + now.UTC().Format("20060102-150405")
	if err := os.Rename(path, moved); err != nil {
		return err
	}
	if err := reopen(); err != nil {
		if back := os.Rename(moved, path); back != nil {
			return back
		}
		return err
	}
	return nil
}

func compress(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := path + ".tmp"
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer out.Close()
	z := gzip.NewWriter(out)
	if _, err := io.Copy(z, in); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}

func (k *kubelet) serverConfig() server.Config {
	return server.Config{
		Addr: k.ServerAddr, Cert: k.ServingCert, Key: k.ServingKey, ClientCA: k.ClientCA,
		Runtime: k.runtime, RuntimeName: k.runtimeName, Pods: serverPods{k}, Logger: k.Logger,
	}
}

// serverPods are the pods that the workers have.
type serverPods struct{ k *kubelet }

// List returns them all.
func (s serverPods) List() (out []*corev1.Pod, _ error) {
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	for _, w := range s.k.workers {
		if pod, gone := w.latest(); pod != nil && !gone {
			out = append(out, pod)
		}
	}
	return out, nil
}

// Get returns one.
func (s serverPods) Get(namespace, name string) (*corev1.Pod, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Namespace == namespace && p.Name == name {
			return p, nil
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
}
