package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Recorder notes a mount before it is made, so that it can be unmade after a crash.
type Recorder interface {
	Add(kind, name string) error
	Remove(kind, name string) error
}

// KernelMounts is Mounts with the kernel's own calls.
type KernelMounts struct{ Ledger Recorder }

// Tmpfs mounts a file system in memory; size 0 leaves the kernel's default.
func (k KernelMounts) Tmpfs(path string, size int64) error {
	if err := k.Ledger.Add("mount", path); err != nil {
		return fmt.Errorf("record the mount of %s: %w", path, err)
	}
	options := ""
	if size > 0 {
		options = "size=" + strconv.FormatInt(size, 10)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", path, err)
	}
	return nil
}

// Unmount takes the mount away, lazily: a process that hangs must not keep a pod from ending.
func (k KernelMounts) Unmount(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		return err
	}
	return k.Ledger.Remove("mount", path)
}

// Mounted tells whether something is mounted at path: it is then on another device than its parent.
func (k KernelMounts) Mounted(path string) bool {
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
