package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bonsai/pkg/machine"
	"bonsai/pkg/machine/netns"
)

// What a cluster has on a machine, found in other ways than `bonsai down` finds it: with the tools of the host, and by
// whatever carries the data directory's name.

// traces are the lines that tell of a cluster. A namespace in which none ran yet has its own, to compare with.
func (c *testCluster) traces(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, p := range c.processes(t) {
		lines = append(lines, "process "+p.String())
	}
	lines = append(lines, linesWith(t, "/proc/self/mountinfo", c.dir, "bonsai-"+c.id())...)
	for _, pattern := range []string{"/sys/fs/cgroup/bonsai-", "/sys/fs/cgroup/*/bonsai-", "/run/bonsai-", "/var/lib/cni/results/bonsai-"} {
		found, err := filepath.Glob(pattern + c.id() + "*")
		require.NoError(t, err)
		lines = append(lines, found...)
	}
	return append(lines, c.networkTraces(t)...)
}

// networkTraces are interfaces, routes, settings and rules. Empty tables and counters are no trace.
func (c *testCluster) networkTraces(t *testing.T) (lines []string) {
	for _, command := range []string{"ip -o link", "ip -o -4 address", "ip route", "sysctl net.ipv4.ip_forward",
		"iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save"} {
		words := strings.Fields(command)
		for line := range strings.Lines(run(t, c.ns, words[0], words[1:]...)) {
			switch {
			case strings.HasSuffix(words[0], "-save") && !ruleOrChain.MatchString(line):
				continue
			case command == "ip -o link":
				line = strings.Fields(line)[1] // its state changes by itself
			}
			lines = append(lines, command+": "+strings.TrimSpace(line))
		}
	}
	return lines
}

// ruleOrChain is a line of iptables-save that is a rule, or a chain that somebody made.
var ruleOrChain = regexp.MustCompile(`^(-A |:\S+ - )`)

func (c *testCluster) id() string { return machine.Dir(c.dir).ID() }

func linesWith(t *testing.T, file string, words ...string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// proc is a process of a cluster.
type proc struct {
	pid  int
	args string
}

func (p proc) String() string { return strconv.Itoa(p.pid) + " " + p.args }

// processes are those that have the data directory in their arguments or their program's path, that are in one of the
// cluster's cgroups, or that are in its network namespace.
func (c *testCluster) processes(t *testing.T) (found []proc) {
	t.Helper()
	namespace, err := os.Stat(c.ns.Path())
	require.NoError(t, err)
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, dir := range dirs {
		args, err := os.ReadFile(dir + "/cmdline")
		if err != nil || len(args) == 0 {
			continue // it has ended, is about to, or is the kernel's
		}
		exe, _ := os.Readlink(dir + "/exe")
		cgroups, _ := os.ReadFile(dir + "/cgroup")
		in, err := os.Stat(dir + "/ns/net")
		if strings.Contains(string(args)+exe, c.dir) || strings.Contains(string(cgroups), "bonsai-"+c.id()) || err == nil && os.SameFile(in, namespace) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			found = append(found, proc{pid, strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")})
		}
	}
	return found
}

// process is the cluster's process whose arguments match.
func (c *testCluster) process(t *testing.T, args string) proc {
	t.Helper()
	var found []proc
	for _, p := range c.processes(t) {
		if ok, _ := regexp.MatchString(args, p.args); ok {
			found = append(found, p)
		}
	}
	require.Len(t, found, 1, "processes like %q among %v", args, c.processes(t))
	return found[0]
}

// kill ends processes all at once, without a word, and returns when they are gone.
func kill(t *testing.T, victims ...proc) {
	t.Helper()
	for _, p := range victims {
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != syscall.ESRCH {
			require.NoError(t, err, "kill %s", p)
		}
	}
	for _, p := range victims {
		require.Eventually(t, func() bool {
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)) // a dead one that waits to be reaped has none
			return len(args) == 0
		}, 10*time.Second, time.Millisecond, "%s does not end", p)
	}
}

// killEverything is the end of a cluster as a machine's owner might do it who knows of no better way.
func (c *testCluster) killEverything(t *testing.T) {
	t.Helper()
	victims := c.processes(t)
	require.Greater(t, len(victims), 4, "a cluster with pods has more processes than %v", victims)
	kill(t, victims...)
}

// move gives the namespace's node another address, as a laptop gets one in another network.
func move(t *testing.T, ns netns.Namespace, from, to string) {
	t.Helper()
	run(t, ns, "ip", "address", "add", to, "dev", "eth0")
	run(t, ns, "ip", "address", "del", from, "dev", "eth0")
	require.NotContains(t, run(t, ns, "ip", "-4", "address"), from)
	if out := run(t, ns, "ip", "route"); !strings.Contains(out, "default") {
		run(t, ns, "ip", "route", "add", "default", "dev", "eth0")
	}
}
