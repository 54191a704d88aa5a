package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is this machine in the hands of one cluster process. It makes nothing that its ledger does not know.
type Machine struct {
	Dir    Dir
	ledger *Ledger
	lock   *os.File
}

// Open takes the data directory for this process, and records the families of things that a node makes while
// it runs. Close gives the directory back; what was made stays until Cleanup.
func Open(dir Dir) (*Machine, error) {
	if err := os.MkdirAll(string(dir), 0o711); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	ledger, err := openLedger(dir.Join("ledger"))
	if err != nil {
		lock.Close()
		return nil, err
	}
	m := &Machine{dir, ledger, lock}
	if err := m.begin(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close gives the data directory back.
func (m *Machine) Close() error {
	return errors.Join(m.ledger.close(), m.lock.Close())
}

// begin brings the ledger to this boot and this network namespace.
func (m *Machine) begin() error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	netns, err := netnsID(ownNetns)
	if err != nil {
		return err
	}
	switch was := m.ledger.Entries(kindBoot); {
	case len(was) == 0:
	case was[0].Name != boot:
		// The reboot undid everything that was recorded. Only files of the old boot can be left, and
		// would tell containerd of mounts and processes that are not there.
		if err := removeVolatile(m.Dir); err != nil {
			return err
		}
		if err := m.ledger.reset(ofThisBoot(m.ledger.entries, boot)...); err != nil {
			return err
		}
	default:
		if was := m.ledger.Entries(kindNetns); len(was) > 0 && was[0].Name != netns {
			return fmt.Errorf("the cluster in %s was started in another network namespace (net:[%s], and this is net:[%s]); run `bonsai down` first", m.Dir, was[0].Name, netns)
		}
	}
	entries := append([]Entry{{Kind: kindBoot, Name: boot}, {Kind: kindNetns, Name: netns}}, families(m.Dir)...)
	if err := m.record(append(entries, missingDirectories(cniCacheDirs)...)); err != nil {
		return err
	}
	return m.recordSharedChains(context.Background())
}

func (m *Machine) record(entries []Entry) error {
	for _, e := range entries {
		if err := m.ledger.Record(e); err != nil {
			return err
		}
	}
	return nil
}

// families are the things that every node makes.
func families(dir Dir) []Entry {
	return []Entry{
		{Kind: KindProcess, Name: dir.Bin(), Reason: "containerd, shims and containers"},
		{Kind: KindMount, Name: string(dir), Reason: "root file systems, volumes and network namespaces of pods"},
		{Kind: KindLink, Name: dir.Bridge(), Reason: "joins the pods of this node, each with a veth pair"},
		{Kind: KindChains, Name: ownChain(dir), Reason: "pods reach the world outside"},
		{Kind: KindCgroup, Name: dir.CgroupRoot(), Reason: "limits and accounting of pods"},
		{Kind: KindPath, Name: dir.Run(), Reason: "sockets of containerd and its shims"},
		{Kind: KindPath, Name: cniCache(dir), Reason: "results that CNI remembers of pods"},
	}
}

// cniCache is where the CNI library remembers what it did for each pod. The place is not configurable; the
// name of the network is.
func cniCache(dir Dir) string { return cniCacheDirs[0] + "/" + networkName(dir) + "-*" }

var cniCacheDirs = []string{"/var/lib/cni/results", "/var/lib/cni"}

// missingDirectories are entries for directories that do not exist and will be made by others on our behalf.
func missingDirectories(dirs []string) []Entry {
	var out []Entry
	for _, d := range dirs {
		if _, err := os.Stat(d); errors.Is(err, os.ErrNotExist) {
			out = append(out, Entry{Kind: kindDirectory, Name: d, Reason: "made by the CNI library"})
		}
	}
	return out
}

// removeVolatile removes what the data directory holds of containers that run: it is worthless once they
// do not.
func removeVolatile(dir Dir) error {
	for _, d := range volatile(dir) {
		if err := removeTree(d); err != nil {
			return fmt.Errorf("remove the state of containers that are gone: %w", err)
		}
	}
	return nil
}

func volatile(dir Dir) []string {
	return []string{dir.Join("containerd", "state"), dir.Join("containerd", "tmp"), dir.Join("cni", "state")}
}

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// ownNetns is the namespace of the calling thread. /proc/self would be that of the process's first thread, which
// may be visiting another one.
const ownNetns = "/proc/thread-self/ns/net"

// netnsID is the number by which the kernel knows a network namespace.
func netnsID(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", fmt.Errorf("network namespace %s: %w", path, err)
	}
	return strconv.FormatUint(st.Ino, 10), nil
}
