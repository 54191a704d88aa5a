// Package cri is the one place that speaks the Container Runtime Interface: gRPC over a unix socket to
// containerd, CRI-O or whatever implements runtime.v1.
//
// The rest of the kubelet sees the interface Runtime and three plain structs, Pod, Sandbox and Container: what
// the runtime knows of one pod, newest first. They are values taken at one moment; nobody changes them, and the
// planner compares them with the pod of the API without touching the runtime again.
//
// Everything the kubelet wants to find again after its own restart is written on the sandbox and the container
// as labels and annotations (names.go), with upstream's names, so that crictl shows them as on any node.
//
// Deadlines: calls that should be quick get two minutes, a pull none (its caller's context ends it), stopping a
// container its grace period and two minutes more. A runtime that hangs makes one pod late, not the kubelet.
package cri
