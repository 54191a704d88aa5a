package scheduler

import (
	"container/heap"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
)

// Back-off after a failed attempt, and the longest that a pod sleeps when nothing happens: upstream's numbers.
const (
	backoffFirst     = time.Second
	backoffMax       = 10 * time.Second
	unschedulableMax = 5 * time.Minute
)

// waiting is a pod without a node. It is in one of two states:
//
//	          next()              failed()
//	ready ──────────▶ (planned) ──────────▶ asleep until wakeAt
//	  ▲                                        │
//	  └───── wakeAt is past, or wake() ────────┘
//
// wake() is called when something changed that may help; it shortens the sleep to the back-off, which every failed
// attempt doubles, so that a busy cluster does not retry hopeless pods all the time.
type waiting struct {
	pod       *v1.Pod
	attempts  int
	notBefore time.Time // the back-off
	wakeAt    time.Time // when it is ready; zero for at once
	index     int       // in the heap
	asleep    bool
}

// queue holds the pods that wait. It is owned by one goroutine.
type queue struct {
	ready readyHeap
	byUID map[types.UID]*waiting
	// drawn counts the pods that want to be where other pods are: for these, a pod that was placed is a change that may help.
	drawn int
}

func newQueue() *queue { return &queue{byUID: map[types.UID]*waiting{}} }

// set adds pod, or replaces it after a change to it; a change to the pod itself may be what it needed, so it is ready at once.
func (q *queue) set(pod *v1.Pod) {
	w := q.byUID[pod.UID]
	if w == nil {
		w = &waiting{index: -1}
		q.add(pod.UID, w, hasRequiredAffinity(pod))
	}
	changed := w.pod == nil || w.pod.Generation != pod.Generation || len(w.pod.Spec.SchedulingGates) != len(pod.Spec.SchedulingGates)
	w.pod = pod
	if changed {
		q.makeReady(w)
	}
}

func (q *queue) add(uid types.UID, w *waiting, drawn bool) {
	q.byUID[uid] = w
	if drawn {
		q.drawn++
	}
}

func (q *queue) makeReady(w *waiting) {
	w.asleep = false
	if w.index < 0 {
		heap.Push(&q.ready, w)
	} else {
		heap.Fix(&q.ready, w.index)
	}
}

func (q *queue) remove(uid types.UID) {
	if w := q.byUID[uid]; w != nil {
		delete(q.byUID, uid)
		if hasRequiredAffinity(w.pod) {
			q.drawn--
		}
		if w.index >= 0 {
			heap.Remove(&q.ready, w.index)
		}
	}
}

// next takes the first ready pod; nil if there is none. The pod stays known until remove.
func (q *queue) next() *waiting {
	if len(q.ready) == 0 {
		return nil
	}
	return heap.Pop(&q.ready).(*waiting)
}

// failed puts a planned pod to sleep.
func (q *queue) failed(w *waiting, now time.Time) {
	if q.byUID[w.pod.UID] != w {
		return // deleted meanwhile
	}
	backoff := min(backoffFirst<<min(w.attempts, 10), backoffMax)
	w.attempts++
	w.notBefore = now.Add(backoff)
	w.wakeAt = now.Add(unschedulableMax)
	w.asleep = true
}

// wake lets all sleepers try again as soon as their back-off is over.
func (q *queue) wake() {
	for _, w := range q.byUID {
		if w.asleep {
			w.wakeAt = w.notBefore
		}
	}
}

// placed says that a pod was placed, or a placed pod changed.
func (q *queue) placed() {
	if q.drawn > 0 {
		q.wake()
	}
}

// awaken makes those ready whose time has come, and returns how long until the next; 0 if none sleeps.
func (q *queue) awaken(now time.Time) time.Duration {
	var soonest time.Duration
	for _, w := range q.byUID {
		if !w.asleep {
			continue
		}
		wait := w.wakeAt.Sub(now)
		if wait <= 0 {
			q.makeReady(w)
		} else if soonest == 0 || wait < soonest {
			soonest = wait
		}
	}
	return soonest
}

// readyHeap orders by priority, then by age.
type readyHeap []*waiting

func (h readyHeap) Len() int { return len(h) }
func (h readyHeap) Less(i, j int) bool {
	a, b := h[i].pod, h[j].pod
	if pa, pb := schedulinghelper.PodPriority(a), schedulinghelper.PodPriority(b); pa != pb {
		return pa > pb
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}
func (h readyHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *readyHeap) Push(x any) {
	w := x.(*waiting)
	w.index = len(*h)
	*h = append(*h, w)
}
func (h *readyHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	*h = old[:len(old)-1]
	w.index = -1
	return w
}
