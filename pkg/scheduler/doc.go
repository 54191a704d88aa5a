// Package scheduler decides on which node each pod runs.
//
// # The problem
//
// A pod without a node must get one that fits it, quickly, and if none fits, the user must learn why. The naive
// scheduler asks the API server for all nodes and pods for each decision; its work grows with the cluster, and two
// decisions close together place two pods into the same free space, because the first is not visible yet.
//
// # The flow
//
//	informers ──▶ state   nodes in an array, each with the sums of what its pods ask for, kept by deltas
//	          ──▶ queue   pods that wait: by priority, then by age; those that found no node sleep until
//	                      something changes that could help them
//	queue ──▶ plan(pod, state) ──▶ decision   a pure function: which node, or why not, in words
//	decision ──▶ assume (state counts the pod at once) ──▶ bind (POST pods/NAME/binding, in the background)
//
// One goroutine owns state and queue and takes one pod after the other: a decision costs microseconds, so that
// several at once would gain nothing. Binding costs a write to disk, and up to bindWorkers of them are under way.
//
// # The guarantees
//
//   - A pod is bound to a node only if every filter passed with all earlier decisions counted, those whose binding is
//     still under way included.
//   - A binding that fails is taken back (forgotten) and the pod tried again after a back-off.
//   - A pod that fits nowhere is tried again when a node or pod changes, at the latest after unschedulableMax.
//
// # Where it is simpler than upstream
//
// There are no plugins to configure, no profiles, no extension points: filters and scores are two ordered lists of
// functions. Nothing is preempted yet; a pod of higher priority only goes first.
package scheduler
