package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
)

// Dir is a cluster's data directory, and with it everything whose name follows from it. Two clusters with
// different directories share no name, so they can live on one machine.
type Dir string

// NewDir makes path absolute and free of symbolic links, because names are derived from it: the same
// directory must give the same names however it is written.
func NewDir(path string) (Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("data directory %s: %w", path, err)
	}
	abs = resolve(abs)
	if len(abs) > maxDir {
		return "", fmt.Errorf("data directory %s: the path has %d characters, and the sockets in it allow %d; choose a shorter one",
			abs, len(abs), maxDir)
	}
	return Dir(abs), nil
}

// resolve follows symbolic links as far as the path exists, so that the name does not change when the directory
// is made.
func resolve(abs string) string {
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	if parent := filepath.Dir(abs); parent != abs {
		return filepath.Join(resolve(parent), filepath.Base(abs))
	}
	return abs
}

// maxDir leaves room for the longest socket name below the directory in the 107 bytes of a socket address.
const maxDir = 107 - len("/containerd/containerd.sock.ttrpc")

// ID is the short name of the cluster on this machine: eight hex digits.
func (d Dir) ID() string {
	sum := sha256.Sum256([]byte(d))
	return hex.EncodeToString(sum[:4])
}

// Join names a file below the directory.
func (d Dir) Join(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// Bin holds the unpacked programs: runc, the shim, the CNI plugins.
func (d Dir) Bin() string { return d.Join("bin") }

// Socket is containerd's, for CRI and for `bonsai image`.
func (d Dir) Socket() string { return d.Join("containerd", "containerd.sock") }

// Run is the directory for sockets whose paths must be short. It is gone after a reboot.
func (d Dir) Run() string { return "/run/bonsai-" + d.ID() }

// CgroupRoot is the cgroup (in every hierarchy) below which all pods of the cluster are.
func (d Dir) CgroupRoot() string { return "/bonsai-" + d.ID() }

// Bridge is the network interface that joins the pods of this node. Names of interfaces have at most 15
// characters.
func (d Dir) Bridge() string { return "bonsai" + d.ID() }
