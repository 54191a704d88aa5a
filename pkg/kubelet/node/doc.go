// Package node keeps the Node object of the machine that the kubelet runs on.
//
// Three things say that a node lives: its Lease, renewed every 10 s, which costs the API server next to nothing;
// its status, written when something in it changed and otherwise every 5 min; and the condition Ready in it, true
// while the container runtime and the pod network work.
//
// A node begins not ready, because its network does: the network needs the node's pod CIDR, which a controller
// gives it after it has registered. Somebody else lays the network then (pkg/cluster, or a network add-on); the runtime
// is asked every 50 ms for a while whether it has one, so that a cluster is ready without waiting for a tick.
package node
