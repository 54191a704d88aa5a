package machine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Kind is a sort of thing that a cluster makes on a machine.
type Kind string

// The kinds, in the order in which they are undone: processes first, because they hold everything else.
const (
	KindProcess Kind = "process" // by number; in the ledger: all whose program is below a directory
	KindMount   Kind = "mount"   // by mount point; in the ledger: all below a directory
	KindLink    Kind = "link"    // a network interface, by name; in the ledger with all its ports
	KindChains  Kind = "chains"  // iptables chains and the jumps to them; in the ledger: by prefix
	KindCgroup  Kind = "cgroup"  // a directory; in the ledger: a tree, in every hierarchy
	KindSysctl  Kind = "sysctl"  // a kernel setting, with its old and new value
	KindPath    Kind = "path"    // a file or directory outside of what the data directory keeps

	// kindDirectory is in the ledger only: a directory that others may use too, removed if it is empty.
	kindDirectory Kind = "directory"
)

// These kinds are not undone. They say where and when the others are valid.
const (
	kindBoot    Kind = "boot"    // the boot during which the entries were written
	kindNetns   Kind = "netns"   // the network namespace the cluster runs in, by number
	kindForeign Kind = "foreign" // iptables chains that were there before the cluster
	kindUndone  Kind = "undone"  // iptables chains that were the cluster's, and that a proof looks for
)

// Entry is one line of the ledger: something that is about to be made, and why.
type Entry struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Ledger is the list of what a cluster makes on the machine, on disk before it is made. It only grows until
// everything in it is undone. Where things come in families (all mounts below a directory, a bridge and its
// ports) one entry stands for the family, written before its first member.
type Ledger struct {
	mu      sync.Mutex
	file    *os.File
	entries []Entry
}

// openLedger opens the ledger or starts it. A last line that a crash cut short is dropped: what it was about
// to record was not made.
func openLedger(path string) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	entries, whole, err := readLedger(f)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read ledger %s: %w", path, err)
	}
	return &Ledger{file: f, entries: entries}, nil
}

// readLedger returns the entries and how many bytes the whole lines have.
func readLedger(r io.Reader) (entries []Entry, whole int64, err error) {
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, whole, nil
		}
		if err != nil {
			return nil, 0, err
		}
		var e Entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			// A power loss may leave blocks that were never written; nothing after them was acknowledged.
			return entries, whole, nil
		}
		entries = append(entries, e)
		whole += int64(len(line))
	}
}

// Record makes sure that e is on disk. What is recorded already is not recorded again: for a sysctl this keeps
// the value of before the cluster, whatever was set since.
func (l *Ledger) Record(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, have := range l.entries {
		if have.Kind == e.Kind && have.Name == e.Name {
			return nil
		}
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	l.entries = append(l.entries, e)
	return nil
}

// Entries returns the entries of the given kind.
func (l *Ledger) Entries(kind Kind) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, e := range l.entries {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// reset forgets all entries but those to keep: everything else is undone, or was by a reboot.
func (l *Ledger) reset(keep ...Entry) error {
	l.mu.Lock()
	err := l.file.Truncate(0)
	if err == nil {
		_, err = l.file.Seek(0, io.SeekStart)
	}
	l.entries = nil
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("empty ledger: %w", err)
	}
	for _, e := range keep {
		if err := l.Record(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) close() error { return l.file.Close() }
