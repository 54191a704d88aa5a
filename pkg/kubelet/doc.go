// Package kubelet runs the pods of one node.
//
// The walk of a pod:
//
//  1. The pod informer sees a pod whose spec.nodeName is this node. kubelet.go gives it a worker.
//  2. The worker (worker.go, one goroutine per pod) observes: the pod of the API, what the runtime has of it, its
//     volumes, images, probes. Package plan says what to do now. apply.go does it. Again, until the plan is empty.
//  3. Package status says what the pod's status is; writer.go sends it if it changed.
//  4. The worker sleeps until something happens: the pod changes, the runtime reports a container event, a probe's
//     result turns, an image has arrived, a config map changes, or the time comes that the last plan named.
//
// What wakes a worker carries no data. Each time everything is observed anew, so a lost or doubled wake-up does
// no harm, and a kubelet that was restarted, or whose runtime was, goes on from what it finds: pods run on while
// the kubelet is away. Container events are a hint; a slow look at everything (relist) covers lost ones.
//
// Nothing here waits for an image or for the API server while it could do something else: images are fetched
// beside the worker, statuses are written beside it, and a worker in the midst of a graceful stop is interrupted
// by a shorter grace period.
//
// A pod is deleted in this order, and at no point earlier: its containers have ended, its volumes are gone, its
// final status is written, its object is deleted with grace period 0 and its UID as precondition.
//
// The parts: cri (the runtime), plan (decisions), status (what to report), spec (translation to CRI), volume,
// objects (config maps and secrets), probe, cgroup, node (the Node object and its lease), server (logs, exec).
//
// Simpler than upstream: no static pods, no device plugins, no CPU or memory manager, no in-place resize, no
// eviction by pressure. One pod never waits for another.
package kubelet
