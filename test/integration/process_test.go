package integration

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"bonsai/pkg/cluster/parts/apiserver"
)

// serveVariable is set in the environment of the test binary when it is to be a server: "DIR PORT".
const serveVariable = "INTEGRATION_TEST_SERVE"

func TestMain(m *testing.M) {
	if what := os.Getenv(serveVariable); what != "" {
		fmt.Fprintln(os.Stderr, serve(what))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serve is the process that a test kills. It ends also with the test, which holds the other end of its standard input.
func serve(what string) error {
	var dir string
	var port int
	if _, err := fmt.Sscan(what, &dir, &port); err != nil {
		return err
	}
	options, err := optionsFor(dir, port)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return apiserver.Run(ctx, options)
}

// process is a server, its etcd included, in a process of its own.
type process struct {
	*server
	child *exec.Cmd
	input io.Closer

	mu sync.Mutex
	up chan struct{} // closed when the server is ready
}

func startProcess(t *testing.T) *process {
	t.Helper()
	p := &process{server: newServer(t), up: make(chan struct{})}
	p.run()
	t.Cleanup(p.kill)
	return p
}

// run returns once the server is ready.
func (p *process) run() {
	p.Helper()
	p.child = exec.Command(os.Args[0])
	p.child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", serveVariable, p.dir, p.options.Port))
	p.child.Stderr = os.Stderr
	var err error
	p.input, err = p.child.StdinPipe()
	require.NoError(p, err)
	require.NoError(p, p.child.Start())
	p.untilReady()
	close(p.up)
}

// kill is what a loss of power looks like to clients, and `kill -9` to the process.
func (p *process) kill() {
	p.mu.Lock()
	p.up = make(chan struct{})
	p.mu.Unlock()
	_ = p.child.Process.Kill()
	_ = p.child.Wait()
	_ = p.input.Close()
}

// await returns when the server is ready, which it may be already.
func (p *process) await(ctx context.Context) {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
	}
}
