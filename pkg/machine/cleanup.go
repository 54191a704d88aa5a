package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/pkg/machine/netns"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cleanupTime is how long the machine may take to let go: a killed process ends when the kernel gets to it,
// and its cgroup some time later.
const cleanupTime = 20 * time.Second

// Cleanup undoes everything that the cluster of dir made on this machine, and leaves its data. It goes by what
// is there, not by what should be, so it works after any crash, and may be repeated. progress is told of each
// step. The cluster's own process must have ended; containers need not have.
func Cleanup(ctx context.Context, dir Dir, progress func(step string)) error {
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	if _, err := os.Stat(string(dir)); errors.Is(err, os.ErrNotExist) {
		// Someone removed the directory by hand; the names that follow from it are still known.
		return cleanUntilNothingIsLeft(ctx, dir, nil, progress)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	ledger, err := openLedger(dir.Join("ledger"))
	if err != nil {
		return err
	}
	defer ledger.close()
	boot, err := bootID()
	if err != nil {
		return err
	}
	entries := ofThisBoot(ledger.entries, boot)
	err = inNetns(entries, func() error { return cleanUntilNothingIsLeft(ctx, dir, entries, progress) })
	if err != nil {
		return fmt.Errorf("clean up after the cluster in %s: %w", dir, err)
	}
	return ledger.reset(undone(entries)...)
}

// ofThisBoot returns the entries that still hold. A reboot undid what an earlier boot made, all but directories;
// since then the same names (a network namespace's number, a chain KUBE-…, a sysctl's value) may have become
// someone else's.
func ofThisBoot(entries []Entry, boot string) []Entry {
	if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Kind == kindBoot && e.Name != boot }) {
		return entries
	}
	var lasting []Entry
	for _, e := range entries {
		if e.Kind == kindDirectory {
			lasting = append(lasting, e)
		}
	}
	return lasting
}

// undone is what remains in the ledger of chains with shared names: without it nothing would say, later, that
// such chains may be this cluster's. It holds for the boot that is in the ledger, so that remains too.
func undone(entries []Entry) []Entry {
	var out []Entry
	for _, e := range entries {
		switch {
		case e.Kind == kindBoot:
			out = append(out, e)
		case e.Kind == KindChains && slices.Contains(sharedChains, e.Name):
			out = append(out, Entry{Kind: kindUndone, Name: e.Name, Reason: e.Reason})
		}
	}
	return out
}

// Prove returns what is left of a cluster. It looks at the machine; an empty ledger does not convince it.
func Prove(ctx context.Context, dir Dir) ([]Leftover, error) {
	entries, err := ledgerEntries(dir)
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	entries = ofThisBoot(entries, boot)
	for i, e := range entries {
		if e.Kind == kindUndone {
			entries[i].Kind = KindChains
		}
	}
	var left []Leftover
	err = inNetns(entries, func() error {
		state, err := observe(ctx, dir, entries)
		for _, a := range planCleanup(state) {
			left = append(left, Leftover{a.Kind, a.Name, a.Reason})
		}
		return err
	})
	return left, err
}

// ledgerEntries reads the ledger without taking it.
func ledgerEntries(dir Dir) ([]Entry, error) {
	f, err := os.Open(dir.Join("ledger"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	defer f.Close()
	entries, _, err := readLedger(f)
	return entries, err
}

// cleanUntilNothingIsLeft observes, plans and applies, and does so again as long as something is left: what
// could not be undone for something that held it can be in the next round.
func cleanUntilNothingIsLeft(ctx context.Context, dir Dir, entries []Entry, progress func(string)) error {
	told := map[string]bool{}
	asked := false
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		state, err := observe(ctx, dir, entries)
		plan := planCleanup(state)
		if len(plan) == 0 {
			return err
		}
		thaw(state.Cgroups)
		for _, line := range summarize(plan) {
			if !told[line] {
				told[line] = true
				progress(line)
			}
		}
		if !asked {
			asked = true
			askToEnd(ctx, state.Processes)
		}
		err = applyAll(ctx, plan)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// applyAll undoes what it can. Once the processes are killed it waits for their end, because the rest of the
// plan can succeed only then.
func applyAll(ctx context.Context, plan []Action) error {
	var errs []error
	for i, a := range plan {
		if a.Kind != KindProcess && i > 0 && plan[i-1].Kind == KindProcess {
			waitForEnd(ctx, plan[:i])
		}
		if err := apply(ctx, a); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", undoWords[a.Kind], a.Name, err))
		}
	}
	return errors.Join(errs...)
}

// apply undoes one thing. That it is gone already is as good.
func apply(ctx context.Context, a Action) error {
	err := appliers[a.Kind](ctx, a)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

var appliers = map[Kind]func(ctx context.Context, a Action) error{
	KindProcess: func(_ context.Context, a Action) error {
		pid, err := strconv.Atoi(a.Name)
		if err != nil {
			return err
		}
		return signal(pid, a.Value, unix.SIGKILL)
	},
	KindMount: func(_ context.Context, a Action) error { return unmount(a.Name) },
	KindLink: func(_ context.Context, a Action) error {
		link, err := netlink.LinkByName(a.Name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	},
	KindChains: func(ctx context.Context, a Action) error {
		return iptablesRestore(ctx, a.Name+"-restore", a.Value)
	},
	KindCgroup: func(_ context.Context, a Action) error { return unix.Rmdir(a.Name) },
	KindSysctl: func(_ context.Context, a Action) error {
		return os.WriteFile(filepath.Join("/proc/sys", a.Name), []byte(a.Value), 0o644)
	},
	KindPath: func(_ context.Context, a Action) error { return removeTree(a.Name) },
}

// removeTree removes a directory, unless something is mounted there: removing would reach into what is mounted,
// which may be a volume with somebody's data.
func removeTree(path string) error {
	mounts, err := mountsBelow(resolve(path))
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("still mounted there: %s", strings.Join(mounts, ", "))
	}
	return os.RemoveAll(path)
}

// unmount detaches a mount that is still in use: its name must go now, its users were killed.
func unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(point, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if errors.Is(err, unix.EINVAL) {
		return nil // it is not a mount point any more
	}
	return err
}

// thaw lets frozen processes die: a frozen one does not take even SIGKILL. The runtime freezes cgroups for
// moments, and may have been killed in one.
func thaw(cgroups []string) {
	for _, c := range cgroups {
		for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
			if f, err := os.OpenFile(filepath.Join(c, file), os.O_WRONLY, 0); err == nil {
				f.WriteString(value)
				f.Close()
			}
		}
	}
}

// waitForEnd waits until killed processes have ended, or a second: they may be in the middle of a slow system
// call, and the next round asks again.
func waitForEnd(ctx context.Context, killed []Action) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, a := range killed {
		if pid, err := strconv.Atoi(a.Name); err == nil {
			awaitEnd(ctx, pid)
		}
	}
}

// inNetns runs f in the network namespace that the ledger names, wherever the caller is: `bonsai down` works
// from any terminal. If there is no way into that namespace any more, no process and no name holds it, and
// its links and rules are gone with it; then f runs here, for everything else.
func inNetns(entries []Entry, f func() error) error {
	var want string
	for _, e := range entries {
		if e.Kind == kindNetns {
			want = e.Name
		}
	}
	if path := findNetns(want); path != "" {
		return netns.At(path).Do(f)
	}
	return f()
}

// findNetns finds a way into a network namespace that is not the caller's: by name, or through a process in it.
func findNetns(id string) string {
	if here, err := netnsID(ownNetns); err != nil || id == "" || id == here {
		return ""
	}
	for _, pattern := range []string{"/run/netns/*", "/proc/[0-9]*/ns/net"} {
		paths, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, path := range paths {
			if got, err := netnsID(path); err == nil && got == id {
				return path
			}
		}
	}
	return ""
}

// contents is everything that a cluster keeps in its data directory.
var contents = []string{"etcd", "etcd.sock", "pki", "encryption.yaml", "kubeconfig", "kubeconfigs", "bin", "containerd", "cni", "kubelet", "logs", "ledger", "lock"}

// Purge removes what a cluster keeps in its data directory, and the directory if nothing else is in it: people
// name directories that hold other things too, down to their home. It refuses while anything is mounted below.
func Purge(dir Dir) error {
	for _, name := range contents {
		if err := removeTree(dir.Join(name)); err != nil {
			return fmt.Errorf("purge %s: %w", dir.Join(name), err)
		}
	}
	err := os.Remove(string(dir))
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) || errors.Is(err, os.ErrNotExist) {
		return nil // other things are in it, or it is a file system of its own
	}
	return err
}
