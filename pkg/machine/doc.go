// Package machine is this host: everything that a cluster makes outside of its own processes, and the only
// package that knows how. The rest of Bonsai asks it for a node address, a running container runtime and a pod
// network, and at the end to undo everything.
//
// # What a node needs, in order
//
//	m, err := machine.Open(dir)             // take the data directory; from here the ledger is written
//	machine.Unpack(archive, dir)            // runc, shim and CNI plugins out of the binary
//	machine.RunContainerd(ctx, config)      // until ctx ends; config.Ready is called when CRI answers
//	m.EnsureNetwork(ctx, network)           // sysctls, the node's rules, the CNI configuration
//	images, err := machine.OpenImages(dir)  // the images that the binary carries
//	images.LoadCarried(ctx, archive)
//
// The kubelet makes the rest through CRI: sandboxes, containers, mounts, veth pairs, cgroups. All of it has names
// that follow from the data directory (type Dir), so it is known before it is made.
//
// # The ledger, and undoing
//
// A tool that changes a machine owes its owner a way back, above all after a crash, when no process remembers
// anything. The usual answer, to undo things one by one where they were made, fails exactly then. So there are
// two independent sources. The ledger (DIR/ledger, one JSON line per entry, on disk before the thing is made)
// says what the cluster may have made; families, like "all mounts below DIR", are one entry, because a node makes
// thousands of these and each would cost a disk write. And the machine itself says what is there.
//
// Cleanup observes the machine, plans in a pure function (planCleanup: state in, actions with reasons out), applies,
// and observes again until nothing is left. It asks the ledger only for what cannot be seen: old values of
// settings, the network namespace, and whether chains with names that others use too are ours. Prove makes the
// same observation and reports it. A reboot undoes everything that is in the ledger; the next Open notices it by
// the kernel's boot id.
//
// Guarantees: Cleanup is idempotent, works after kill -9 of any or all processes, from any network namespace, and
// touches nothing that is not the cluster's. Data (etcd, images, keys) stays; Purge removes it.
//
// # Where this is simpler than other installers
//
// There is no systemd unit, no package, no /etc/cni or /opt/cni, no containerd of the host: every path is below the
// data directory, but sockets in /run, whose addresses must be short, and the CNI library's cache, whose place is
// fixed. Masquerading is one rule per node instead of a chain per pod. The loopback interface of pods is brought
// up by containerd, so there is no plugin for it.
package machine
