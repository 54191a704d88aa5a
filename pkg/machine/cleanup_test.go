package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"bonsai/pkg/golden"
)

// The plan for a node with one pod, as text: the order matters.
func TestPlanCleanup(t *testing.T) {
	saved, err := os.ReadFile("testdata/iptables-save.txt")
	require.NoError(t, err)
	info, err := os.ReadFile("testdata/mountinfo.txt")
	require.NoError(t, err)
	var mounts []string
	for _, m := range parseMounts(info) {
		if strings.HasPrefix(m.point, string(testDir)+"/") {
			mounts = append(mounts, m.point)
		}
	}
	state := State{
		Processes: []Process{{41, "containerd-shim", "its program is in /var/lib/bonsai/bin", "7", false}, {42, "pause", "it is in the cgroup /bonsai-1", "8", true}},
		Mounts:    mounts,
		Links:     []string{"veth1", testDir.Bridge()},
		Rules:     []ruleset{findChains("iptables-nft", saved, append([]string{ownChain(testDir)}, sharedChains...))},
		Cgroups:   []string{"/sys/fs/cgroup/pids/bonsai-1", "/sys/fs/cgroup/pids/bonsai-1/pods"},
		Sysctls:   []Entry{{Kind: KindSysctl, Name: "net/ipv4/ip_forward", Old: "0", New: "1", Reason: "pods"}},
		Paths:     []string{testDir.Run()},
	}
	plan := planCleanup(state)
	var out strings.Builder
	for _, a := range plan {
		fmt.Fprintln(&out, a)
	}
	fmt.Fprintln(&out, "\nIn short:")
	for _, line := range summarize(plan) {
		fmt.Fprintln(&out, line)
	}
	golden.Equal(t, "testdata/cleanup.plan", out.String())
	assert.Empty(t, planCleanup(State{}), "nothing there, nothing to do")
}

// Rules of others, those that only mention our chains in a comment included, stay.
func TestFindChains(t *testing.T) {
	saved, err := os.ReadFile("testdata/iptables-save.txt")
	require.NoError(t, err)
	r := findChains("iptables-nft", saved, append([]string{ownChain(testDir)}, sharedChains...))
	golden.Equal(t, "testdata/iptables-remove.txt", r.removal)
	assert.Empty(t, findChains("iptables-nft", saved, []string{"BONSAI-other"}).chains)
}

func TestSelectProcesses(t *testing.T) {
	const self = 10
	bin := testDir.Bin()
	all := []procInfo{
		{pid: 1, name: "init"},
		{pid: self, parent: 1, name: "bonsai", cgroups: []string{testDir.CgroupRoot()}},
		{pid: 11, parent: self, name: "bonsai", args: []string{"bonsai", "containerd", "--config", "/var/lib/bonsai/containerd/config.toml"}},
		{pid: 12, parent: 1, name: "shim", exe: bin + "/containerd-shim-runc-v2"},
		{pid: 13, parent: 12, name: "web", cgroups: []string{"/", testDir.CgroupRoot() + "/pods/u1"}},
		{pid: 15, parent: 14, name: "escaped child's child"},
		{pid: 14, parent: 13, name: "escaped child", cgroups: []string{"/elsewhere"}},
		{pid: 20, parent: 1, name: "another cluster", exe: "/var/lib/bonsai2/bin/runc", cgroups: []string{testDir.CgroupRoot() + "0/x"}},
		{pid: 22, parent: 1, name: "shim of a cluster in a container", exe: bin + "/containerd-shim-runc-v2", elsewhere: true},
		{pid: 23, parent: 1, name: "containerd of one", args: []string{"bonsai", "containerd", "--config", "/var/lib/bonsai/containerd/config.toml"}, elsewhere: true},
		{pid: 21, parent: self, name: "kubectl", args: []string{"kubectl", "apply", "-f", "/var/lib/bonsai/containerd/config.toml"}},
	}
	var pids []int
	for _, p := range selectProcesses(testDir, all, self) {
		pids = append(pids, p.PID)
	}
	slices.Sort(pids)
	assert.Equal(t, []int{11, 12, 13, 14, 15}, pids)
}

func TestParseMountsUnescapes(t *testing.T) {
	got := parseMounts([]byte(`36 35 98:0 / /a\040b\134c rw,noatime shared:1 - ext3 /dev/root rw` + "\n"))
	assert.Equal(t, []mount{{"/", `/a b\c`, "ext3"}}, got)
}

// Two processes cannot have one data directory, and the second learns who has it.
func TestLock(t *testing.T) {
	dir, err := NewDir(t.TempDir())
	require.NoError(t, err)
	_, running := Running(dir)
	assert.False(t, running)
	lock, err := lockDir(dir)
	require.NoError(t, err)
	_, err = lockDir(dir)
	assert.ErrorContains(t, err, fmt.Sprintf("as process %d", os.Getpid()))
	pid, running := Running(dir)
	assert.True(t, running)
	assert.Equal(t, os.Getpid(), pid)
	require.NoError(t, lock.Close())
	_, running = Running(dir)
	assert.False(t, running)
}

// A directory that others use too goes only when nothing is in it.
func TestEmptyDirectories(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "theirs"), nil, 0o600))
	got := emptyDirectories([]Entry{{Kind: kindDirectory, Name: empty}, {Kind: kindDirectory, Name: full}, {Kind: kindDirectory, Name: empty + "/gone"}})
	assert.Equal(t, []string{empty}, got)
}

// After a reboot the ledger speaks of things that are gone. What has their names now is someone else's: a k3s
// that was started meanwhile has chains KUBE-…, and Docker wants the forwarding that was off before the cluster.
func TestARebootEndsTheLedger(t *testing.T) {
	entries := []Entry{
		{Kind: kindBoot, Name: "first"}, {Kind: kindNetns, Name: "4026532000"},
		{Kind: KindChains, Name: "KUBE-"}, {Kind: KindSysctl, Name: "net/ipv4/ip_forward", Old: "0", New: "1"},
		{Kind: kindDirectory, Name: "/var/lib/cni"},
	}
	assert.Equal(t, entries, ofThisBoot(entries, "first"))
	assert.Equal(t, []Entry{{Kind: kindDirectory, Name: "/var/lib/cni"}}, ofThisBoot(entries, "second"), "which outlives a reboot")
	left := undone(entries)
	assert.Equal(t, []Entry{{Kind: kindBoot, Name: "first"}, {Kind: kindUndone, Name: "KUBE-"}}, left)
	assert.Empty(t, ofThisBoot(left, "second"), "and a proof does not claim them")
}

// Between looking and killing lie seconds; a number that another process has got meanwhile is not killed.
func TestSignalSparesAnotherOfTheNumber(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	p, ok := readProcess(cmd.Process.Pid)
	require.True(t, ok)
	assert.ErrorIs(t, signal(p.pid, "1", unix.SIGKILL), unix.ESRCH)
	_, ok = readProcess(p.pid)
	assert.True(t, ok, "it lives")
	assert.NoError(t, signal(p.pid, p.started, unix.SIGKILL))
}

// A data directory whose name is a pattern does not stand for others.
func TestVolatilePathsAreNoPatterns(t *testing.T) {
	above := t.TempDir()
	for _, d := range []string{"b*", "b2"} {
		require.NoError(t, os.MkdirAll(filepath.Join(above, d, "containerd", "state"), 0o700))
	}
	dir := Dir(filepath.Join(above, "b*"))
	assert.Equal(t, []string{dir.Join("containerd", "state")}, volatilePaths(dir))
}

// Purge takes what is the cluster's, and leaves a home that somebody has named as the data directory.
func TestPurgeLeavesWhatIsNotTheClusters(t *testing.T) {
	dir := tempDir(t)
	require.NoError(t, os.MkdirAll(dir.Join("etcd", "member"), 0o700))
	require.NoError(t, os.WriteFile(dir.Join("thesis.txt"), nil, 0o600))
	require.NoError(t, Purge(dir))
	assert.NoDirExists(t, dir.Join("etcd"))
	assert.FileExists(t, dir.Join("thesis.txt"))
	require.NoError(t, os.Remove(dir.Join("thesis.txt")))
	require.NoError(t, Purge(dir))
	assert.NoDirExists(t, string(dir))
}

// What a user has mounted in the data directory is not the cluster's: a disk for etcd, one for images.
func TestMountRootsSpareTheUsersDisks(t *testing.T) {
	info := []byte("50 22 254:1 / /var/lib/bonsai/etcd rw - ext4 /dev/vdb rw\n51 22 254:2 / /var/lib/bonsai/containerd/root rw - ext4 /dev/vdc rw\n" +
		"52 51 0:9 / /var/lib/bonsai/containerd/state/x rw - tmpfs tmpfs rw\n53 51 0:9 / /var/lib/bonsai2/containerd/state/x rw - tmpfs tmpfs rw\n")
	assert.Equal(t, []string{"/var/lib/bonsai/containerd/state/x"}, pointsBelow(parseMounts(info), mountRoots(testDir)))
}

// The lock's file may still name its last holder, whose number is anybody's by now: down would end that.
func TestRunningNamesTheHolderOnly(t *testing.T) {
	dir := tempDir(t)
	lock, err := lockDir(dir)
	require.NoError(t, err)
	defer lock.Close()
	_, err = lock.WriteAt([]byte("1\n      "), 0)
	require.NoError(t, err)
	pid, running := Running(dir)
	assert.True(t, running)
	assert.Zero(t, pid)
}
