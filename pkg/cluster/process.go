package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is how long a component's process may take to end after it was asked to.
const stopGrace = 20 * time.Second

// runProcess runs a component as a process of its own until ctx ends. It dies with this process, so that a killed
// cluster leaves no half of itself running.
func (c *Config) runProcess(ctx context.Context, one component) error {
	log, err := c.logFile(one.name)
	if err != nil {
		return fmt.Errorf("open its log: %w", err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, c.Program, one.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	// The kernel sends Pdeathsig when the thread ends that started the process, not when the process does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil && (err == nil || errors.As(err, &exit)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; see %s", err, log.Name())
	}
	return fmt.Errorf("its process ended; see %s", log.Name())
}
