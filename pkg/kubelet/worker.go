package kubelet

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/plan"
	"bonsai/pkg/kubelet/probe"
	"bonsai/pkg/kubelet/status"
	"bonsai/pkg/kubelet/volume"
)

// worker looks after one pod, in a goroutine of its own:
//
//	          ┌── observe, plan, apply, until nothing is left to do; then sleep ──┐
//	          ▼                                                                  │
//	(seen) ─ syncing ────────────────────────────────────────────────────────────┘
//	          │ deleted, gone from the API, past its deadline, refused, or all its containers have ended
//	          ▼
//	         ending     stop what runs: containers, then sidecars, then the sandbox
//	          │ nothing runs
//	          ▼
//	         ended      volumes and cgroup are gone, the status is final; containers stay for their logs
//	          │ deleted, or gone from the API
//	          ▼
//	        (removed)   containers and logs are gone, and with them the object and this worker
//
// There is no way back: a pod that began to end does not run again.
type worker struct {
	k     *kubelet
	uid   types.UID
	log   *slog.Logger
	awake chan struct{}

	// mu guards what others set or ask for: the pod, whether it was admitted, whether its object is gone, the results of pulls, retry, which says that
	// what a start failed for may be there now, and interrupt, which ends what the worker is applying.
	mu        sync.Mutex
	pod       *corev1.Pod
	gone      bool
	admitted  bool
	retry     bool
	interrupt context.CancelFunc
	images    map[string]fetched

	// The rest belongs to the goroutine.
	end          *plan.End
	verdict      *status.Verdict
	ended        bool
	sandboxRetry time.Time
	memory       map[string]*memory
	// pulls is the back-off of each container's image.
	pulls   map[string]time.Duration
	volumes volume.Result
	// told is what was last said of a subject, so that it is not said again; hooked are the containers whose
	// preStop hook has run (guarded by mu: containers stop side by side).
	told   map[string]string
	hooked map[string]bool
}

// memory is what the worker remembers of a container from one plan to the next.
type memory struct {
	backOff time.Duration
	failure *plan.Failure
}

// fetched is how far the image of a container is, and which image that is about.
type fetched struct {
	name string
	plan.Image
}

func newWorker(k *kubelet, uid types.UID) *worker {
	return &worker{
		k: k, uid: uid, log: k.Logger.With("pod", uid), awake: make(chan struct{}, 1),
		images: map[string]fetched{}, memory: map[string]*memory{}, pulls: map[string]time.Duration{},
		told: map[string]string{}, hooked: map[string]bool{},
	}
}

// wake makes the worker look at the pod; many calls before it does are one.
func (w *worker) wake() {
	select {
	case w.awake <- struct{}{}:
	default:
	}
}

// set gives the worker the pod's newest object. If that makes the pod end, or end sooner, what is being applied
// is interrupted.
func (w *worker) set(pod *corev1.Pod) {
	w.mu.Lock()
	if w.interrupt != nil && sooner(w.pod, pod) {
		w.interrupt()
	}
	w.pod = pod
	w.mu.Unlock()
	w.wake()
}

// sooner tells whether the pod has less time to live than it had.
func sooner(old, pod *corev1.Pod) bool {
	if pod.DeletionTimestamp == nil || old == nil {
		return false
	}
	return old.DeletionTimestamp == nil || deletionGrace(pod) < deletionGrace(old)
}

// vanish tells the worker that the pod's object is gone. A pod that was not ending yet begins to at once.
func (w *worker) vanish() {
	w.mu.Lock()
	if w.interrupt != nil && !w.gone && (w.pod == nil || w.pod.DeletionTimestamp == nil) {
		w.interrupt()
	}
	w.gone = true
	w.mu.Unlock()
	w.wake()
}

// retryNow wakes the worker because an object that the pod refers to has changed: failures for want of it are over.
func (w *worker) retryNow() {
	w.mu.Lock()
	w.retry = true
	w.mu.Unlock()
	w.wake()
}

// forgetFailures makes failed starts due at once, if somebody asked for that.
func (w *worker) forgetFailures() {
	w.mu.Lock()
	retry := w.retry
	w.retry = false
	w.mu.Unlock()
	if !retry {
		return
	}
	for _, m := range w.memory {
		m.failure = nil
	}
}

// admittedPod is the pod, if the node has let it in.
func (w *worker) admittedPod() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.admitted {
		return nil
	}
	return w.pod
}

func (w *worker) latest() (pod *corev1.Pod, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod, w.gone
}

// retryObserve is the pause after the runtime could not be asked.
const retryObserve = 2 * time.Second

// run works until the pod is removed or ctx ends.
func (w *worker) run(ctx context.Context) {
	defer w.k.forget(w.uid)
	for ctx.Err() == nil {
		again, removed, err := w.step(ctx)
		if removed {
			return
		}
		if err != nil && ctx.Err() == nil {
			w.log.Warn("pod not synced; trying again", "error", err)
			again = time.Now().Add(retryObserve)
		}
		w.sleep(ctx, again)
	}
}

// sleep waits until the worker is woken, or until a time unless that is zero.
func (w *worker) sleep(ctx context.Context, until time.Time) {
	var alarm <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
	case <-w.awake:
	case <-alarm:
	}
}

// forget drops what is kept of a pod outside its worker.
func (k *kubelet) forget(uid types.UID) {
	k.probes.Forget(uid)
	k.objects.Forget(uid)
	k.writer.forget(uid)
}

// step observes, plans and applies until nothing is left to do now. again is when to do it again.
func (w *worker) step(ctx context.Context) (again time.Time, removed bool, err error) {
	for ctx.Err() == nil {
		pod, gone := w.latest()
		if w.ended {
			removed, err = w.remove(ctx, pod, gone)
			return again, removed, err
		}
		o, err := w.observe(ctx, pod, gone)
		if err != nil {
			return again, false, err
		}
		p := plan.Make(o, time.Now())
		s := w.report(ctx, pod, gone, o.Runtime, &p)
		switch {
		case p.Finished:
			w.end = &plan.End{Reason: "all its containers have ended", Grace: specGrace(pod)}
			continue
		case p.Done:
			if err := w.settle(ctx, pod, gone, s); err != nil {
				return again, false, err
			}
			continue
		}
		w.apply(ctx, pod, p)
		if !p.Acts() {
			return w.next(pod, p), false, nil
		}
	}
	return again, false, ctx.Err()
}

// next is when to look again although nothing happened: what the plan waits for, a token's renewal, the deadline.
func (w *worker) next(pod *corev1.Pod, p plan.Plan) time.Time {
	out := earliest(p.Again, w.volumes.Again)
	if len(w.volumes.Faults)+len(w.volumes.Stale) > 0 {
		out = earliest(out, time.Now().Add(retryVolumes))
	}
	return earliest(out, w.turning(), deadline(pod))
}

// retryVolumes is the pause after a volume could not be made.
const retryVolumes = 2 * time.Second

func earliest(times ...time.Time) (out time.Time) {
	for _, t := range times {
		if !t.IsZero() && (out.IsZero() || t.Before(out)) {
			out = t
		}
	}
	return out
}

// observe gathers all that a plan depends on.
func (w *worker) observe(ctx context.Context, pod *corev1.Pod, gone bool) (plan.Observed, error) {
	runtime, err := w.k.runtime.Pod(ctx, w.uid)
	if err != nil {
		return plan.Observed{}, err
	}
	w.readMessages(runtime)
	w.forgetFailures()
	now := time.Now()
	w.decideEnd(pod, gone, now)
	o := plan.Observed{Pod: pod, Runtime: runtime, End: w.end, SandboxRetry: w.sandboxRetry, Containers: map[string]plan.Memory{}}
	if pod == nil {
		return o, nil
	}
	if w.end == nil {
		w.admit(pod, runtime)
		o.End = w.end
	}
	if w.end == nil {
		o.Volumes = w.syncVolumes(ctx, pod, runtime, now)
	}
	w.k.probes.Sync(w.k.ctx, pod, runtime, first(w.k.podIPs(pod, runtime)), w.end != nil)
	for _, c := range allContainers(pod) {
		o.Containers[c.Name] = w.recall(pod, c.Name, runtime.Current(c.Name), now)
	}
	return o, nil
}

// recall is what the kubelet knows of a container beside the runtime.
func (w *worker) recall(pod *corev1.Pod, name string, run *cri.Container, now time.Time) plan.Memory {
	m := plan.Memory{Image: w.image(pod, name, now)}
	if mem := w.memory[name]; mem != nil {
		m.BackOff, m.Failure = mem.backOff, mem.failure
	}
	if run != nil {
		r := w.k.probes.Results(run.ID)
		m.Probes = plan.Probes{ID: run.ID, Started: r.Started, Failed: r.Failed, Grace: r.Grace}
	}
	return m
}

// syncVolumes makes the pod's volumes and says what is missing.
func (w *worker) syncVolumes(ctx context.Context, pod *corev1.Pod, runtime *cri.Pod, now time.Time) string {
	w.k.objects.Want(pod)
	if err := os.MkdirAll(w.k.node.PodDir(pod), 0o750); err != nil {
		return err.Error()
	}
	w.volumes = w.k.volumes.Sync(ctx, pod, w.k.podIPs(pod, runtime), now)
	missing := ""
	for _, f := range w.volumes.Faults {
		missing = f.Event()
		w.tell("volume "+f.Volume, missing, func() { w.k.events.pod(pod, warning, "FailedMount", "%s", missing) })
	}
	for _, f := range w.volumes.Stale {
		w.tell("volume "+f.Volume, f.Event(), func() { w.k.events.pod(pod, warning, "FailedMount", "%s", f.Event()) })
	}
	return missing
}

// tell does something about a subject, once for as long as what is to be said stays the same.
func (w *worker) tell(subject, what string, do func()) {
	if w.told[subject] != what {
		w.told[subject] = what
		do()
	}
}

// report computes the status and hands it to the writer. A pod that the API does not have has no status.
func (w *worker) report(ctx context.Context, pod *corev1.Pod, gone bool, runtime *cri.Pod, p *plan.Plan) corev1.PodStatus {
	if pod == nil || gone {
		return corev1.PodStatus{}
	}
	in := status.Input{
		Pod: pod, Runtime: runtime, RuntimeName: w.k.runtimeName, HostIPs: w.k.NodeIPs,
		Waiting: map[string]status.Waiting{}, Probes: map[string]status.Probes{},
		Ending: w.end != nil, Verdict: w.verdict, Now: time.Now(),
	}
	if last := w.k.writer.latest(pod.UID); last != nil {
		in.Pod = pod.DeepCopy()
		in.Pod.Status = merged(pod.Status, *last)
	}
	for _, x := range p.Waiting {
		in.Waiting[x.Name] = status.Waiting{Reason: x.Reason, Message: x.Message}
		w.tellBackOff(pod, x, runtime)
	}
	for _, c := range allContainers(pod) {
		if run := runtime.Current(c.Name); run != nil {
			in.Probes[c.Name] = probesOf(w.k.probes.Results(run.ID))
		}
	}
	s := status.Compute(in)
	if !p.Done {
		w.k.writer.set(w.k.ctx, pod, s)
	}
	return s
}

// merged is the status written last, with what others write as the informer shows it: their conditions, and a
// final phase.
func merged(seen, last corev1.PodStatus) corev1.PodStatus {
	out := *last.DeepCopy()
	out.Conditions = slices.DeleteFunc(out.Conditions, func(c corev1.PodCondition) bool { return !status.Owned(c.Type) })
	for _, c := range seen.Conditions {
		if !status.Owned(c.Type) {
			out.Conditions = append(out.Conditions, c)
		}
	}
	if seen.Phase == corev1.PodFailed || seen.Phase == corev1.PodSucceeded {
		out.Phase, out.Reason, out.Message = seen.Phase, seen.Reason, seen.Message
	}
	return out
}

func probesOf(r probe.Results) status.Probes {
	return status.Probes{ID: r.ID, Started: r.Started, Ready: r.Ready}
}

// tellBackOff writes the BackOff event of a container that waits, once per run.
func (w *worker) tellBackOff(pod *corev1.Pod, x plan.Waiting, runtime *cri.Pod) {
	run := runtime.Current(x.Name)
	if !x.Event || run == nil {
		return
	}
	w.tell("back-off "+x.Name, run.ID, func() {
		w.k.events.container(pod, x.Name, warning, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", x.Name, pod.Name, pod.Namespace, pod.UID)
	})
}
