package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A data directory belongs to one process at a time. The lock is the kernel's: it ends with its holder,
// however that ended. The file also tells who holds it, for `status` and `down`.

// ErrLocked says that another process has the data directory.
var ErrLocked = errors.New("a cluster runs already")

// lockDir takes the lock.
func lockDir(dir Dir) (*os.File, error) {
	f, err := os.OpenFile(dir.Join("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid := readPID(f)
		f.Close()
		return nil, fmt.Errorf("%w in %s, as process %d; `bonsai down` stops it", ErrLocked, dir, pid)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	return f, nil
}

// Running returns the process that runs the cluster of a data directory, or false if none does. The number is 0 if
// that process cannot be seen from here, because it lives in another container.
func Running(dir Dir) (pid int, ok bool) {
	f, err := os.Open(dir.Join("lock"))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	// Who has just taken the lock has not written its number yet; the one that is there is of the holder before,
	// and may by now be anybody's.
	for deadline := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
			return 0, false
		}
		if pid := readPID(f); hasOpen(pid, f) {
			return pid, true
		}
		if time.Now().After(deadline) {
			return 0, true
		}
	}
}

// hasOpen says whether a process has a file open.
func hasOpen(pid int, f *os.File) bool {
	want, err := f.Stat()
	if err != nil || pid <= 0 {
		return false
	}
	fds, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*") // the pattern is well-formed
	return slices.ContainsFunc(fds, func(fd string) bool {
		have, err := os.Stat(fd)
		return err == nil && os.SameFile(want, have)
	})
}

func readPID(f *os.File) int {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	return pid
}
