// Package status says what a pod's status is: the pod of the API, what the runtime has of it, what the kubelet
// waits for and the results of probes in; a PodStatus out. No I/O, and no memory but the status that the pod had,
// which gives conditions their times and keeps what the runtime has forgotten.
//
// Of the runs of a container two are shown: the newest as state, the one before as lastState. While the next run
// of an ended container is held up (back-off, an image that cannot be had), state is waiting with that reason and
// the ended run moves to lastState.
//
// Phases, and what leads from one to the other:
//
//	Pending ──▶ Running ──▶ Succeeded   every container ended with 0 and none starts again
//	   │           └──────▶ Failed      the same, and one ended otherwise; or the kubelet ended the pod
//	   └──────────────────▶ Failed      an init container failed for good; the node refused the pod
package status
