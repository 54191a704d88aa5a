package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/containerd/platforms"
	"gopkg.in/natefinch/lumberjack.v2"
)

// ContainerdConfig says how to run containerd.
type ContainerdConfig struct {
	Dir Dir
	// Program is the command that becomes containerd, with its first arguments: this same binary and the
	// name of the subcommand that calls containerd.Main.
	Program []string
	// Ready is called once, when CRI answers for the first time.
	Ready  func()
	Logger *slog.Logger
}

// RunContainerd keeps containerd running until ctx ends, then stops it. Containers do not stop with it: each
// has a shim, which the next containerd finds. If containerd dies it is started again, after a while that
// doubles with each early death.
//
// It dies with this process, even when that is killed with SIGKILL, because a containerd that nobody watches
// over would hold the sockets and databases of the next one.
func RunContainerd(ctx context.Context, c ContainerdConfig) error {
	if err := prepareContainerd(c.Dir); err != nil {
		return fmt.Errorf("prepare containerd: %w", err)
	}
	c.Ready = sync.OnceFunc(c.Ready)
	log := &lumberjack.Logger{Filename: c.Dir.Join("logs", "containerd.log"), MaxSize: 10, MaxBackups: 2}
	defer log.Close()
	wait := firstRestart
	for {
		start := time.Now()
		err := c.runOnce(ctx, log)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(start) > longLife {
			wait = firstRestart
		}
		c.Logger.Error("containerd died, starting it again", "after", wait, "err", err, "log", log.Filename)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRestart)
	}
}

const (
	firstRestart = 500 * time.Millisecond
	lastRestart  = 30 * time.Second
	// longLife is how long containerd must have run for its death to count as the first.
	longLife = time.Minute
	// stopGrace is how long containerd may take to stop before it is killed.
	stopGrace = 10 * time.Second
)

// prepareContainerd makes the directories and writes the configuration.
func prepareContainerd(dir Dir) error {
	for _, d := range []string{dir.Join("containerd", "certs.d"), dir.Join("cni", "conf"), dir.Join("logs"), filepath.Join(dir.Run(), "s")} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return err
		}
	}
	config := containerdSettings{
		Dir:                 dir,
		PauseImage:          PauseImage,
		Snapshotter:         snapshotter(dir),
		Platform:            platforms.DefaultString(),
		RestrictOOMScoreAdj: !hasCapability(capSysResource),
	}.render()
	return os.WriteFile(dir.Join("containerd", "config.toml"), config, 0o600)
}

// snapshotter is how layers become root file systems: by overlay mounts, or where the file system of the data
// directory cannot carry those (it is itself an overlay, as in a container) by copying.
func snapshotter(dir Dir) string {
	if err := overlayutils.Supported(dir.Join("containerd")); err != nil {
		return "native"
	}
	return "overlayfs"
}

// runOnce starts containerd and returns when it has ended, because ctx did or by itself.
func (c *ContainerdConfig) runOnce(ctx context.Context, log io.Writer) error {
	ready, err := listenReady(filepath.Join(c.Dir.Run(), "ready.sock"))
	if err != nil {
		return err
	}
	defer ready.Close()
	go func() {
		if ready.wait() {
			c.Ready()
		}
	}()
	// The kernel sends the death signal when the thread that started the child ends, not the process. So
	// this goroutine keeps its thread for as long as the child lives.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := c.command(ctx, log, ready.path)
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		return errors.New("it ended by itself")
	}
	return nil
}

func (c *ContainerdConfig) command(ctx context.Context, log io.Writer, readySocket string) *exec.Cmd {
	args := append(c.Program[1:len(c.Program):len(c.Program)], "--config", c.Dir.Join("containerd", "config.toml"))
	cmd := exec.CommandContext(ctx, c.Program[0], args...)
	cmd.Args[0] = "bonsai" // what the process list shows, and not /proc/self/exe
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(),
		"PATH="+c.Dir.Bin()+":"+searchPath(),
		"NOTIFY_SOCKET="+readySocket,
		// A smaller heap for some more work of the collector: containerd allocates little once pods run.
		"GOGC=50")
	// A group of its own, so that Ctrl-C in the terminal reaches it through us only, and in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	return cmd
}

// searchPath is where containerd finds the host's own programs (iptables, modprobe). A service manager or a
// bare shell may leave the sbin directories out.
func searchPath() string {
	return strings.TrimPrefix(os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", ":")
}

// readySocket is how containerd tells that all its services answer: the protocol that it speaks with systemd.
// So the start is watched, and not asked for again and again.
type readySocket struct {
	*net.UnixConn
	path string
}

func listenReady(path string) (*readySocket, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for containerd's readiness: %w", err)
	}
	return &readySocket{conn, path}, nil
}

// wait returns true when containerd is ready, false when the socket was closed before.
func (s *readySocket) wait() bool {
	buf := make([]byte, 4096)
	for {
		n, err := s.Read(buf)
		if err != nil {
			return false
		}
		for _, line := range strings.Split(string(buf[:n]), "\n") {
			if line == "READY=1" {
				return true
			}
		}
	}
}
