package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"k8s.io/apimachinery/pkg/types"
)

// SubPath makes a part of a volume ready for one mount of one container, and returns where it is. What does not exist
// becomes a directory. Links inside the volume are followed, but not out of it.
//
// The naive way resolves the path and gives the result to the runtime, which resolves it again, a moment later. In
// between another container of the pod may put a link to / in the place of a directory, and its neighbour gets the
// node's root. Here the path is resolved once, to an open file, and what that is gets a mount of its own, in a place that no
// container can write to.
func (m *Manager) SubPath(uid types.UID, volume, path, sub, container string, index int) (string, error) {
	found, err := openSub(path, sub)
	if err != nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q: %w", volume, err)
	}
	defer found.Close()
	at := filepath.Join(m.Node.RootDir, "pods", string(uid), "volume-subpaths", volume, container, strconv.Itoa(index))
	if err := m.bind(found, at); err != nil {
		return "", fmt.Errorf("failed to prepare subPath for volumeMount %q: %w", volume, err)
	}
	return at, nil
}

// openSub opens what is at a path inside root, or makes it.
func openSub(root, sub string) (*os.File, error) {
	found, err := pathrs.OpenInRoot(root, sub)
	if !errors.Is(err, os.ErrNotExist) {
		return found, err
	}
	dir, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return pathrs.MkdirAllHandle(dir, sub, 0o750)
}

// bind mounts a file or directory at a place of the same sort, instead of what an earlier run of the container had there.
func (m *Manager) bind(what *os.File, at string) error {
	info, err := what.Stat()
	if err != nil {
		return err
	}
	old, err := m.Mounts.Below(at)
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(old) {
		if err := m.Mounts.Unmount(path); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	// Nothing is mounted there now; Remove takes only a file or an empty directory.
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := place(at, info.IsDir()); err != nil {
		return err
	}
	return m.Mounts.Bind(what, at)
}

// place makes something to mount on.
func place(at string, dir bool) error {
	if dir {
		return os.MkdirAll(at, 0o750)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o750); err != nil {
		return err
	}
	return os.WriteFile(at, nil, 0o640)
}
