package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"bonsai/hack/images"
	"bonsai/pkg/machine/netns"
)

// lessonNode is the node's name and address in the lessons.
const (
	lessonNode = "lesson-node"
	lessonIP   = "10.77.0.2"
)

// TestLessons starts one cluster and runs the scripts in testdata/lessons on it, each in a Kubernetes namespace of its
// own. A script reads as what somebody types who learns Kubernetes, and what they then see.
func TestLessons(t *testing.T) {
	c := startCluster(t)
	c.loadBusybox(t)
	c.loadHook(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/lessons",
		RequireExplicitExec: false,
		Setup:               func(env *testscript.Env) error { return c.lesson(env) },
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"setenv": setenv},
	})
}

// setenv NAME stdout sets an environment variable to what the last command printed.
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setenv NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// testCluster is a cluster of the real binary in a network namespace of its own.
type testCluster struct {
	bonsai string
	dir    string
	ns     netns.Namespace
}

// bonsaiBinary is the program under test; make test says where it is.
func bonsaiBinary(t *testing.T) string {
	t.Helper()
	bonsai := os.Getenv("BONSAI")
	if bonsai == "" {
		bonsai, _ = filepath.Abs("../../bin/bonsai")
	}
	if _, err := os.Stat(bonsai); err != nil {
		t.Fatalf("%v: build it with `make build`", err)
	}
	return bonsai
}

// newCluster prepares a cluster; the test starts it. At the end it is taken down and must have left nothing.
func newCluster(t *testing.T) *testCluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "bonsai-e2e-")
	require.NoError(t, err)
	ns, err := netns.New("bonsai-"+filepath.Base(dir), netip.MustParsePrefix(lessonIP+"/24"))
	require.NoError(t, err)
	c := &testCluster{bonsai: bonsaiBinary(t), dir: dir, ns: ns}
	t.Cleanup(func() {
		if t.Failed() {
			c.dumpLogs(t)
		}
		c.run(t, "down", "--prove", "--purge")
		require.NoError(t, ns.Delete())
	})
	return c
}

func startCluster(t *testing.T, flags ...string) *testCluster {
	t.Helper()
	c := newCluster(t)
	c.up(t, flags...)
	return c
}

// up starts the cluster and returns what was said about it.
func (c *testCluster) up(t *testing.T, flags ...string) string {
	t.Helper()
	out := c.run(t, upCommand(append(flags, "--detach")...)...)
	t.Log(out)
	return out
}

func upCommand(flags ...string) []string {
	return append([]string{"up", "--no-merge-kubeconfig", "--node-name=" + lessonNode}, flags...)
}

// command is a call of bonsai inside the cluster's network namespace.
func (c *testCluster) command(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=" + c.ns.Path(), c.bonsai}, args...)...)
	cmd.Env = append(os.Environ(), "BONSAI_DATA_DIR="+c.dir, "KUBECONFIG=")
	return cmd
}

// commandTime is more than any command takes that works. One that hangs must not hang the tests.
const commandTime = 150 * time.Second

// try calls bonsai and returns what it printed and how it ended.
func (c *testCluster) try(args ...string) (string, error) {
	cmd := c.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(commandTime, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// run calls bonsai, which must succeed, and returns what it printed.
func (c *testCluster) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatalf("bonsai %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refused calls bonsai, which must end with the exit code, and returns what it printed.
func (c *testCluster) refused(t *testing.T, code int, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Fatalf("bonsai %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return out
}

func (c *testCluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.run(t, append([]string{"kubectl"}, args...)...)
}

// loadBusybox gives the cluster the image that lessons use where they need a shell, made from the host's busybox.
func (c *testCluster) loadBusybox(t *testing.T) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "busybox.tar")
	f, err := os.Create(archive)
	require.NoError(t, err)
	require.NoError(t, images.WriteBusybox(f, "bonsai.test/busybox:1"))
	require.NoError(t, f.Close())
	c.run(t, "image", "load", archive)
}

// loadHook gives the cluster the image of the program in hook.
func (c *testCluster) loadHook(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "hook"), "./hook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	program, err := os.ReadFile(filepath.Join(dir, "hook"))
	require.NoError(t, err)
	archive := filepath.Join(dir, "hook.tar")
	f, err := os.Create(archive)
	require.NoError(t, err)
	_, err = images.WriteLayout(f, images.Image{
		Name:    "bonsai.test/hook:1",
		Entries: []images.Entry{{Path: "hook", Mode: 0o755, Data: program}},
		Config:  v1.Config{Entrypoint: []string{"/hook"}},
	})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	c.run(t, "image", "load", archive)
}

// lesson gives a script its own Kubernetes namespace, as the current one of a kubeconfig of its own.
func (c *testCluster) lesson(env *testscript.Env) error {
	name := strings.ToLower(strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"))
	config := filepath.Join(env.WorkDir, ".kubeconfig")
	data, err := os.ReadFile(filepath.Join(c.dir, "kubeconfig"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, data, 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"kubectl", "create", "namespace", name},
		{"kubectl", "config", "set-context", "--current", "--namespace=" + name},
	} {
		cmd := c.command(args...)
		cmd.Env = append(cmd.Env, "KUBECONFIG="+config)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	env.Setenv("KUBECONFIG", config)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("BONSAI", c.bonsai)
	env.Setenv("BONSAI_DATA_DIR", c.dir)
	env.Setenv("NETNS", c.ns.Path())
	env.Setenv("NODE_IP", lessonIP)
	return nil
}

// dumpLogs shows the end of every log of a cluster whose test failed.
func (c *testCluster) dumpLogs(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(c.dir, "logs", "*.log"))
	for _, f := range files {
		data, _ := os.ReadFile(f)
		const most = 8 << 10
		if len(data) > most {
			data = data[len(data)-most:]
		}
		t.Logf("%s:\n%s", filepath.Base(f), data)
	}
}
