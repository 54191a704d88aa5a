package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// foreground is a `bonsai up` in a terminal of its own.
type foreground struct {
	*exec.Cmd
	said   bytes.Buffer // stdout up to Ready
	stderr bytes.Buffer
}

// upInForeground returns when the cluster says that it is Ready.
func (c *testCluster) upInForeground(t *testing.T, flags ...string) *foreground {
	t.Helper()
	f := &foreground{Cmd: c.command(upCommand(flags...)...)}
	f.Stderr = &f.stderr
	out, err := f.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, f.Start())
	t.Cleanup(func() { _ = f.Process.Kill() })
	timer := time.AfterFunc(commandTime, func() { _ = f.Process.Kill() })
	defer timer.Stop()
	ready := false
	lines := bufio.NewScanner(out)
	for !ready && lines.Scan() {
		f.said.WriteString(lines.Text() + "\n")
		ready = strings.HasPrefix(lines.Text(), "Ctrl-C")
	}
	require.True(t, ready, "bonsai up ended before it was Ready: %s%s", &f.said, &f.stderr)
	go io.Copy(io.Discard, out)
	return f
}

// end waits for the end of a `bonsai up` and returns its exit code.
func (f *foreground) end(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(commandTime, func() { _ = f.Process.Kill() })
	defer timer.Stop()
	_ = f.Wait()
	return f.ProcessState.ExitCode()
}

// A cluster in the foreground: what others can do meanwhile, and how it ends.
func TestForeground(t *testing.T) {
	c := newCluster(t)
	before := c.traces(t)
	require.Contains(t, c.refused(t, 3, "status"), "No cluster runs from "+c.dir)

	up := c.upInForeground(t)
	for _, step := range []string{"certificates", "API server", "container runtime", "images", "pod network", "node ready"} {
		require.Regexp(t, `(?m)^✓ `+step+` +[0-9.]+s`, up.said.String())
	}
	for _, word := range []string{`API SERVER +ready`, `NODE +lesson-node +Ready`, `PODS +0`, `bonsai up +\d+ +\d+ MiB`, `bonsai containerd +\d+ +\d+ MiB`} {
		require.Regexp(t, word, c.run(t, "status"))
	}
	for _, again := range [][]string{upCommand(), upCommand("--detach")} {
		require.Contains(t, c.refused(t, 1, again...), "a cluster runs already in "+c.dir)
	}
	require.Contains(t, c.run(t, "status"), "Ready", "nobody has disturbed it")

	require.NoError(t, up.Process.Signal(syscall.SIGINT))
	require.Zero(t, up.end(t), "%s", &up.stderr)
	require.Empty(t, up.stderr.String())
	require.Equal(t, before, c.traces(t))
	c.refused(t, 3, "status")
}

// Two clusters on one machine know nothing of each other.
func TestTwoClusters(t *testing.T) {
	one, before := startWithApp(t)
	other := startCluster(t)
	other.kubectl(t, "run", "web", "--image=bonsai.local/web:1")
	other.kubectl(t, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
	kept := other.containers(t)
	require.Len(t, kept, 1)
	one.run(t, "down", "--prove")
	require.Equal(t, before, one.traces(t))
	require.Equal(t, kept, other.containers(t))
	require.Contains(t, other.kubectl(t, "get", "pods"), "web")
}

// What cannot work says what is wrong and what to do, with exit code 1, and leaves nothing.
func TestUpFails(t *testing.T) {
	c := newCluster(t)
	before := c.traces(t)
	check := func(flags []string, words ...string) {
		t.Helper()
		out := c.refused(t, 1, upCommand(flags...)...)
		for _, word := range words {
			require.Contains(t, out, word)
		}
		require.Equal(t, before, c.traces(t))
	}
	t.Run("no such directory can be made", func(t *testing.T) {
		check([]string{"--data-dir=/proc/bonsai"}, "/proc/bonsai")
		check([]string{"--detach", "--data-dir=/proc/bonsai"}, "/proc/bonsai")
	})
	t.Run("the port is taken", func(t *testing.T) {
		taken := c.listen(t, lessonIP+":6443")
		defer taken.Close()
		check(nil, "6443", "already in use", "ss -ltnp sport = :6443")
		check([]string{"--detach"}, "6443", "already in use", "ss -ltnp sport = :6443")
	})
	t.Run("no iptables", func(t *testing.T) {
		program := c.bonsai
		defer func() { c.bonsai = program }()
		c.bonsai = withoutIptables(t, program)
		check([]string{"--detach"}, "iptables", "apt-get install iptables")
	})
}

// withoutIptables is a program that is bonsai on a machine without iptables: something that cannot be run lies on it.
func withoutIptables(t *testing.T, bonsai string) string {
	t.Helper()
	iptables, err := exec.LookPath("iptables")
	require.NoError(t, err)
	script := filepath.Join(t.TempDir(), "bonsai")
	text := "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind /dev/null " + iptables + " && exec " + bonsai + " \"$@\"' bonsai \"$@\"\n"
	require.NoError(t, os.WriteFile(script, []byte(text), 0o755))
	return script
}

// listen opens a port inside the cluster's network namespace.
func (c *testCluster) listen(t *testing.T, address string) (l net.Listener) {
	t.Helper()
	require.NoError(t, c.ns.Do(func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	}))
	t.Cleanup(func() { l.Close() })
	return l
}

// Taking down what does not run is no error: what was asked for is so.
func TestDownWithoutCluster(t *testing.T) {
	c := newCluster(t)
	require.Contains(t, c.run(t, "down", "--prove"), "nothing is left")
	require.Contains(t, c.run(t, "down", "--data-dir="+c.dir+"/nothing"), "There is no cluster in "+c.dir+"/nothing")
}
