package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// KernelMounts is Mounts with the kernel's own calls.
type KernelMounts struct{}

// Tmpfs mounts a file system in memory; size 0 leaves the kernel's default.
func (KernelMounts) Tmpfs(path string, size int64) error {
	options := ""
	if size > 0 {
		options = "size=" + strconv.FormatInt(size, 10)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", path, err)
	}
	return nil
}

// Bind goes by the open file, not by a name that could lead elsewhere by now.
func (KernelMounts) Bind(what *os.File, at string) error {
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(int(what.Fd())), at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", what.Name(), at, err)
	}
	return nil
}

// Unmount takes the mount away, lazily: a process that hangs must not keep a pod from ending.
func (KernelMounts) Unmount(path string) error {
	return unix.Unmount(path, unix.MNT_DETACH)
}

// Mounted tells whether something is mounted at path: it is then on another device than its parent.
func (KernelMounts) Mounted(path string) bool {
	at, err := os.Lstat(path)
	if err != nil {
		return false
	}
	above, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return false
	}
	return at.Sys().(*syscall.Stat_t).Dev != above.Sys().(*syscall.Stat_t).Dev
}

// Below asks the kernel for its list. Devices do not tell: a directory of the same disk may be mounted there.
func (KernelMounts) Below(dir string) ([]string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for mounts below %s: %w", dir, err)
	}
	found, err := mountinfo.GetMounts(mountinfo.PrefixFilter(real))
	if err != nil {
		return nil, fmt.Errorf("look for mounts below %s: %w", dir, err)
	}
	points := make([]string, 0, len(found))
	for _, m := range found {
		points = append(points, m.Mountpoint)
	}
	return points, nil
}
