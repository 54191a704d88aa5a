package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/pki"
)

// advertised is the address that the measured API server gives for itself. An endpoint may not be loopback, where it really is;
// nobody goes to this one, which is reserved for documentation.
var advertised = net.IPv4(192, 0, 2, 1)

// certificates are those of both servers.
func certificates() pki.Options {
	return parts.PKIOptions("bench", advertised, parts.APIPort, time.Now())
}

// child is a process that is measured.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string
	// ended is closed when the process has; err is set then.
	ended chan struct{}
	err   error
}

// launch starts `bonsai args...`. The process has a group of its own, so that Ctrl-C reaches only this program, which stops
// it in order; and it is told to end should this program be killed. within enters a network namespace; nil stays.
func (b *bench) launch(name string, within func(func() error) error, prepare func(*exec.Cmd), args ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(b.dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	c.cmd = exec.Command(b.Program, args...)
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	// A cluster that is only measured must not show up in the user's own kubeconfig.
	c.cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.dir, "user.kubeconfig"))
	if prepare != nil {
		prepare(c.cmd)
	}
	if within == nil {
		within = func(f func() error) error { return f() }
	}
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the process, so it stays for as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.ended)
		defer log.Close()
		c.err = within(func() error {
			err := c.cmd.Start()
			if started <- err; err != nil {
				return err
			}
			return c.cmd.Wait()
		})
	}()
	select {
	case err = <-started:
	case <-c.ended: // the namespace could not be entered
		err = c.err
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// died tells that the process ended, and its last words.
func (c *child) died() error {
	text, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s ended (%v); it last said:\n  %s", c.name, c.err, strings.Join(lines[max(0, len(lines)-5):], "\n  "))
}

// stopGrace is how long a child may take to end after it was asked to.
const stopGrace = 60 * time.Second

// stop asks the process to end, and kills it if it does not.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(stopGrace):
	}
	_ = c.cmd.Process.Kill()
	<-c.ended
	return fmt.Errorf("%s did not end within %s of being asked to, and was killed", c.name, stopGrace)
}

// server is a child that answers on loopback.
type server struct {
	*child
	*client
}

// startLimit starts the server of the limits.
func (b *bench) startLimit(ctx context.Context, name string) (*server, error) {
	dir := filepath.Join(b.dir, name)
	certs, err := pki.Ensure(dir, certificates())
	if err != nil {
		return nil, err
	}
	c, address, err := b.launchSaying(name, "bench-limit", "--data-dir="+dir)
	if err != nil {
		return nil, err
	}
	return c.serving(ctx, certs.Kubeconfig, address)
}

// startEtcd starts an etcd in a process of its own, and returns where it serves.
func (b *bench) startEtcd(name string) (*child, string, error) {
	return b.launchSaying(name, "bench-etcd", "--data-dir="+filepath.Join(b.dir, name))
}

// launchSaying starts a child that says in one line where it serves, once it does.
func (b *bench) launchSaying(name string, args ...string) (*child, string, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	c, err := b.launch(name, nil, func(cmd *exec.Cmd) { cmd.Stdout = in }, args...)
	in.Close()
	if err != nil {
		return nil, "", err
	}
	line, err := firstLines(out, 1)
	if err != nil {
		<-c.ended
		return nil, "", c.died()
	}
	return c, string(bytes.TrimSpace(line)), nil
}

// besideLimit measures with an API server and the limits' server, which it starts and stops.
func (b *bench) besideLimit(ctx context.Context, name string, measure func(api, limit *server) ([]Result, error)) (results []Result, err error) {
	api, err := b.startAPIServer(ctx, name+"-api")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.stop()) }()
	limit, err := b.startLimit(ctx, name+"-limit")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, limit.stop()) }()
	return measure(api, limit)
}

// startAPIServer starts an API server with a data directory of its own, and an etcd inside unless args name another.
func (b *bench) startAPIServer(ctx context.Context, name string, args ...string) (*server, error) {
	dir := filepath.Join(b.dir, name)
	certs, err := pki.Ensure(dir, certificates())
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args = append([]string{"apiserver", "--data-dir=" + dir, "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
		"--advertise-address=" + advertised.String(), "--hostname-override=bench"}, args...)
	c, err := b.launch(name, nil, nil, args...)
	if err != nil {
		return nil, err
	}
	s, err := c.serving(ctx, certs.Kubeconfig, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// freePort finds one below those that the kernel gives to connections. Somebody else could take it before the child does; then the child
// says so and ends.
func freePort() (port int, err error) {
	for range 100 {
		port = 16000 + rand.IntN(16000)
		l, listenErr := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if listenErr == nil {
			return port, l.Close()
		}
		err = listenErr
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// startPatience bounds the time until a child serves.
const startPatience = 60 * time.Second

// serving waits until the child answers.
func (c *child) serving(ctx context.Context, kubeconfig, address string) (*server, error) {
	cl, err := newClient(kubeconfig, address, nil)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	late := time.After(startPatience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = cl.get(ctx, "/readyz", ""); err == nil {
			return &server{c, cl}, nil
		}
		select {
		case <-c.ended:
			return nil, c.died()
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.stop())
		case <-late:
			return nil, errors.Join(fmt.Errorf("%s is not ready after %s: %w", c.name, startPatience, err), c.stop())
		case <-tick.C:
		}
	}
}
