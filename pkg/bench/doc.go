// Package bench measures Bonsai on the machine it runs on, and holds each figure against what that machine can do.
//
// # The problem
//
// "900 creates a second" says nothing by itself: not on which machine, not how busy that was, not how much better it could
// be. So every row measures, besides its figure, a limit: the same work with Kubernetes left out, by the same client, over the
// same TLS, in the same layout of processes. A request of any verb is held against a server that reads as many bytes and
// answers as many; a list against sending those bytes from memory; a pod that becomes Ready against the container runtime alone.
// The ratio of the two is what may be compared between machines and between days.
//
// # The flow
//
//	Run ─► row ─► start what it needs: the API server, the limit's server, or a whole node, as child processes
//	              figure, limit, figure, limit, … in turns (compare)
//	           ─► []Result ─► table or JSON
//
// The rows are siblings, one file each, listed in rows. Turns matter: whatever else the machine does at the moment meets both,
// and the ratio is the median over the turns.
//
// # The guarantees
//
//   - Load goes to loopback, or into a network namespace made for it, and is bounded in count and time.
//   - Data lie in a directory of their own, in the file system of the data directory: another disk would be another limit.
//   - Nothing is left: children end with this process, and a whole node is proven clean after it was stopped.
//   - An aim that is missed is told, and is not a failure: Run fails only if it could not measure.
package bench
