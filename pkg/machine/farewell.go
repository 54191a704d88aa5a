package machine

import (
	"bufio"
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// farewell is how long the programs in containers have to end by themselves. It is short: pods that should end with all
// the grace they ask for are deleted, and a cluster that goes down is in a hurry.
const farewell = 3 * time.Second

// askToEnd sends SIGTERM to those processes that catch it, and waits until they have ended or farewell is over, so that a
// database writes what it holds. A process that does not catch it would only be waited for in vain: as the first of its
// namespace it does not even die of the signal.
func askToEnd(ctx context.Context, processes []Process) {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	var asked []int
	for _, p := range processes {
		if p.InPod && catchesTerm(p.PID) && signal(p.PID, p.Started, unix.SIGTERM) == nil {
			asked = append(asked, p.PID)
		}
	}
	for _, pid := range asked {
		awaitEnd(ctx, pid)
	}
}

// signal sends a signal to the process that was started then. Since it was seen it may have ended, and its number may
// be another's by now; a pidfd holds on to the one that is looked at.
func signal(pid int, started string, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if now, ok := readProcess(pid); !ok || now.started != started {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// catchesTerm tells whether a process has a handler for SIGTERM, by the mask that the kernel shows of it.
func catchesTerm(pid int) bool {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if mask, ok := strings.CutPrefix(lines.Text(), "SigCgt:"); ok {
			caught, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return err == nil && caught&(1<<(unix.SIGTERM-1)) != 0
		}
	}
	return false
}

// awaitEnd returns when the process has ended, or with ctx.
func awaitEnd(ctx context.Context, pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has
	}
	defer unix.Close(fd)
	deadline, _ := ctx.Deadline()
	if left := time.Until(deadline).Milliseconds(); ctx.Err() == nil && left > 0 {
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left))
	}
}
