package integration

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/embed"

	"bonsai/pkg/cluster/parts/apiserver"
)

// serveVariable is set in the environment of the test binary when it is to be a server: "DIR PORT", and the URL of an etcd that is not its own.
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
	words := strings.Fields(what)
	port, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	options, err := optionsFor(words[0], port)
	if err != nil {
		return err
	}
	options.EtcdServers = words[2:]
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return apiserver.Run(ctx, options)
}

// process is a server, its etcd included unless it uses another, in a process of its own.
type process struct {
	*server
	child *exec.Cmd
	input io.Closer

	mu sync.Mutex
	up chan struct{} // closed when the server is ready
}

func startProcess(t *testing.T, change ...func(*apiserver.Options)) *process {
	t.Helper()
	p := &process{server: newServer(t, change...), up: make(chan struct{})}
	p.run()
	t.Cleanup(p.kill)
	return p
}

// run returns once the server is ready.
func (p *process) run() {
	p.Helper()
	p.child = exec.Command(os.Args[0])
	p.child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", serveVariable, p.dir, p.options.Port, strings.Join(p.options.EtcdServers, " ")))
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

// isUp tells whether the server is ready, as far as is known.
func (p *process) isUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.up:
		return true
	default:
		return false
	}
}

// startTwins starts two servers of one cluster: one authority, one etcd, which neither of them is.
func startTwins(t *testing.T) []*process {
	t.Helper()
	url := startEtcd(t)
	onIt := func(o *apiserver.Options) { o.EtcdServers = []string{url} }
	first := startProcess(t, onIt)
	second := startProcess(t, onIt, func(o *apiserver.Options) {
		var err error
		require.NoError(t, os.RemoveAll(o.DataDir))
		require.NoError(t, os.CopyFS(o.DataDir, os.DirFS(first.dir)))
		*o, err = optionsFor(o.DataDir, o.Port)
		require.NoError(t, err)
		onIt(o)
	})
	return []*process{first, second}
}

// startEtcd starts an etcd alone and returns its URL.
func startEtcd(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	c := embed.NewConfig()
	c.Dir, c.LogLevel = filepath.Join(dir, "data"), "fatal"
	at, err := url.Parse("unix://" + dir + "/sock")
	require.NoError(t, err)
	c.ListenPeerUrls, c.ListenClientUrls, c.AdvertiseClientUrls = nil, []url.URL{*at}, []url.URL{*at}
	e, err := embed.StartEtcd(c)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		require.NoError(t, err)
	}
	return at.String()
}
