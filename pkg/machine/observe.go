package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// State is everything on the machine that could be of a cluster, as it is now.
type State struct {
	// Processes of the cluster's programs and pods, and what came from them.
	Processes []Process
	// Mounts are the mount points below the cluster's directories, in the order in which they were made.
	Mounts []string
	// Links are the cluster's bridge and its ports, by name.
	Links []string
	// Rules is one ruleset per variant of iptables that has chains of the cluster.
	Rules []ruleset
	// Cgroups are directories of the cluster in all hierarchies, each after the one that holds it.
	Cgroups []string
	// Sysctls are entries of the ledger that still have the value which the cluster set.
	Sysctls []Entry
	// Paths are files and directories that are only of use while the cluster runs.
	Paths []string
}

// Process is a process and why it is thought to belong to the cluster.
type Process struct {
	PID    int
	Name   string
	Reason string
	// Started is when it was, in the kernel's ticks: with the number it names a process for good, because numbers
	// are given again.
	Started string
	// InPod says that it is a pod's, not one of the programs that serve pods.
	InPod bool
}

// observe looks at the machine from the network namespace that the thread is in. entries are what the ledger
// knows; it is asked only for what the machine cannot tell: whose shared chains are, and old values.
func observe(ctx context.Context, dir Dir, entries []Entry) (State, error) {
	var s State
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	var err error
	if s.Processes, err = clusterProcesses(dir); err != nil {
		note(err)
	}
	if s.Mounts, err = mountsBelow(mountRoots(dir)...); err != nil {
		note(err)
	}
	if s.Links, err = bridgeAndPorts(dir.Bridge()); err != nil {
		note(err)
	}
	if s.Cgroups, err = cgroupTrees(dir.CgroupRoot()); err != nil {
		note(err)
	}
	prefixes := chainPrefixes(dir, entries)
	for _, variant := range iptablesVariants {
		if r := findChains(variant, save(ctx, variant), prefixes); len(r.chains) > 0 {
			s.Rules = append(s.Rules, r)
		}
	}
	for _, e := range entries {
		if e.Kind == KindSysctl && readSysctl(e.Name) == e.New {
			s.Sysctls = append(s.Sysctls, e)
		}
	}
	s.Paths = append(volatilePaths(dir), emptyDirectories(entries)...)
	return s, errors.Join(errs...)
}

// chainPrefixes are the names of chains that are the cluster's: its own, and the shared ones that it has in its
// ledger.
func chainPrefixes(dir Dir, entries []Entry) []string {
	prefixes := []string{ownChain(dir)}
	for _, e := range entries {
		if e.Kind == KindChains && e.Name != ownChain(dir) {
			prefixes = append(prefixes, e.Name)
		}
	}
	return prefixes
}

// volatilePaths are the files that exist of those that are worth nothing once the cluster is gone.
func volatilePaths(dir Dir) []string {
	var found []string
	// The data directory's own path is no pattern: a * in it would stand for the directories of other clusters.
	for _, path := range append(volatile(dir), dir.Socket(), dir.Socket()+".ttrpc", dir.Run()) {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	cached, _ := filepath.Glob(cniCache(dir)) // the pattern is well-formed
	return append(found, cached...)
}

// emptyDirectories are those that were not there before the cluster and that nothing is in.
func emptyDirectories(entries []Entry) []string {
	var found []string
	for _, e := range entries {
		if e.Kind != kindDirectory {
			continue
		}
		if files, err := os.ReadDir(e.Name); err == nil && len(files) == 0 {
			found = append(found, e.Name)
		}
	}
	return found
}

// mountRoots are the directories below which a node mounts. Other mounts in the data directory, and those on these
// very directories, are the user's: a faster disk for etcd, a larger one for images.
func mountRoots(dir Dir) []string {
	roots := append(volatile(dir), dir.Join("containerd", "root"), dir.Join("kubelet", "pods"), dir.Run())
	for i, r := range roots {
		roots[i] = resolve(r) // the kernel knows mounts by their real paths
	}
	return roots
}

// mountsBelow lists the mount points strictly below the roots.
func mountsBelow(roots ...string) ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return pointsBelow(parseMounts(info), roots), nil
}

func pointsBelow(mounts []mount, roots []string) (found []string) {
	for _, m := range mounts {
		if slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(m.point, root+"/") }) {
			found = append(found, m.point)
		}
	}
	return found
}

// mount is one line of mountinfo.
type mount struct{ root, point, fstype string }

func parseMounts(info []byte) []mount {
	var mounts []mount
	for lines := bufio.NewScanner(bytes.NewReader(info)); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if f := strings.Fields(before); len(f) >= 5 {
			fstype, _, _ := strings.Cut(after, " ")
			mounts = append(mounts, mount{unescapeMount(f[3]), unescapeMount(f[4]), fstype})
		}
	}
	return mounts
}

// unescapeMount undoes the kernel's octal escapes of white space and backslashes in paths.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// bridgeAndPorts lists the ports of a bridge that lead to pods, and then the bridge. A network card or a tunnel that
// somebody has joined to it is let go with the bridge, and stays.
func bridgeAndPorts(name string) ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var bridge int
	for _, l := range links {
		if l.Attrs().Name == name {
			bridge = l.Attrs().Index
		}
	}
	if bridge == 0 {
		return nil, nil
	}
	var found []string
	for _, l := range links {
		if l.Attrs().MasterIndex == bridge && l.Type() == "veth" {
			found = append(found, l.Attrs().Name)
		}
	}
	return append(found, name), nil
}

// cgroupTrees lists the directories of the cgroup name in each hierarchy that is mounted.
func cgroupTrees(name string) ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list cgroups: %w", err)
	}
	var found []string
	for _, m := range parseMounts(info) {
		if m.fstype != "cgroup" && m.fstype != "cgroup2" {
			continue
		}
		err := filepath.WalkDir(m.point+name, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				found = append(found, path)
			}
			return nil // what vanishes under our eyes is not left
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// clusterProcesses finds the cluster's processes: by program, by cgroup, by the configuration that containerd
// was given, and the descendants of all these, because a process of a container may have moved itself out
// of the cgroup.
func clusterProcesses(dir Dir) ([]Process, error) {
	all, err := listProcesses(dir)
	if err != nil {
		return nil, err
	}
	return selectProcesses(dir, all, os.Getpid()), nil
}

// procInfo is what /proc tells of a process.
type procInfo struct {
	pid, parent int
	started     string
	name, exe   string
	args        []string
	cgroups     []string
	// elsewhere says that the data directory's path leads it to another directory, or to none: it lives in a
	// container, where that path means something else, perhaps another cluster's.
	elsewhere bool
}

func selectProcesses(dir Dir, all []procInfo, self int) []Process {
	var found []Process
	chosen := map[int]bool{self: false}
	choose := func(p procInfo, inPod bool, reason string) {
		if _, known := chosen[p.pid]; !known {
			chosen[p.pid] = true
			found = append(found, Process{p.pid, p.name, reason, p.started, inPod})
		}
	}
	for _, p := range all {
		switch {
		case !p.elsewhere && strings.HasPrefix(p.exe, dir.Bin()+"/"):
			choose(p, false, "its program is in "+dir.Bin())
		case !p.elsewhere && isOwnContainerd(dir, p.args):
			choose(p, false, "it is the cluster's containerd")
		case inCgroup(p.cgroups, dir.CgroupRoot()):
			choose(p, true, "it is in the cgroup "+dir.CgroupRoot())
		}
	}
	for before := -1; before != len(found); {
		before = len(found)
		for _, p := range all {
			if chosen[p.parent] {
				choose(p, false, fmt.Sprintf("it was started by process %d", p.parent))
			}
		}
	}
	return found
}

// isOwnContainerd recognizes the child by its arguments; its program is the same file as everyone else's.
func isOwnContainerd(dir Dir, args []string) bool {
	return len(args) > 1 && args[len(args)-2] == "--config" && args[len(args)-1] == dir.Join("containerd", "config.toml")
}

func inCgroup(cgroups []string, root string) bool {
	for _, c := range cgroups {
		if c == root || strings.HasPrefix(c, root+"/") {
			return true
		}
	}
	return false
}

func listProcesses(dir Dir) ([]procInfo, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []procInfo
	for _, d := range dirs {
		if pid, err := strconv.Atoi(d.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				p.elsewhere = !sameFile(string(dir), filepath.Join("/proc", d.Name(), "root", string(dir)))
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// sameFile says whether two paths lead to one file, or neither to any.
func sameFile(a, b string) bool {
	here, err := os.Stat(a)
	there, otherErr := os.Stat(b)
	if err != nil || otherErr != nil {
		return errors.Is(err, os.ErrNotExist) && errors.Is(otherErr, os.ErrNotExist)
	}
	return os.SameFile(here, there)
}

// readProcess is false for processes that are gone, and for those that are dead and wait to be reaped.
func readProcess(pid int) (procInfo, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return procInfo{}, false
	}
	// The name stands in brackets and may itself contain some.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return procInfo{}, false
	}
	rest := strings.Fields(string(stat[end+1:]))
	if len(rest) <= statStarted || rest[0] == "Z" || rest[0] == "X" {
		return procInfo{}, false
	}
	p := procInfo{pid: pid, name: string(stat[open+1 : end]), started: rest[statStarted]}
	p.parent, _ = strconv.Atoi(rest[1])
	exe, _ := os.Readlink(dir + "/exe")
	p.exe = strings.TrimSuffix(exe, " (deleted)")
	cmdline, _ := os.ReadFile(dir + "/cmdline")
	p.args = strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	cgroups, _ := os.ReadFile(dir + "/cgroup")
	for _, line := range strings.Fields(string(cgroups)) {
		if parts := strings.SplitN(line, ":", 3); len(parts) == 3 {
			p.cgroups = append(p.cgroups, parts[2])
		}
	}
	return p, true
}

// statStarted is where /proc/PID/stat has the time of the start, counted from behind the name.
const statStarted = 19

func readSysctl(name string) string {
	value, _ := os.ReadFile(filepath.Join("/proc/sys", name))
	return strings.TrimSpace(string(value))
}
