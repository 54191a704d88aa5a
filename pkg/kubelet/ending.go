package kubelet

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/plan"
	"bonsai/pkg/kubelet/status"
)

// decideEnd notes why the pod must end, if it must. The reason stays, the grace period only gets shorter.
func (w *worker) decideEnd(pod *corev1.Pod, gone bool, now time.Time) {
	switch {
	case gone || pod == nil:
		w.ends("its object is gone", specGrace(pod))
	case pod.DeletionTimestamp != nil:
		w.ends("it was deleted", deletionGrace(pod))
	case w.verdict == nil && overdue(pod, now):
		w.verdict = &status.Verdict{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
		w.k.events.pod(pod, normal, "DeadlineExceeded", "%s", w.verdict.Message)
		w.ends("its deadline has passed", specGrace(pod))
	case status.Terminal(pod):
		w.ends("its phase is "+string(pod.Status.Phase), specGrace(pod))
	}
}

// admit asks once whether the node has room for the pod. Workers ask one after the other, so that two pods are
// not both given the last of something.
func (w *worker) admit(pod *corev1.Pod, runtime *cri.Pod) {
	w.k.admission.Lock()
	defer w.k.admission.Unlock()
	if w.admittedPod() != nil {
		return
	}
	if w.verdict = w.k.admit(pod, runtime); w.verdict != nil {
		w.ends("it was refused", 0)
		return
	}
	w.mu.Lock()
	w.admitted = true
	w.mu.Unlock()
}

func (w *worker) ends(reason string, grace time.Duration) {
	if w.end == nil {
		w.end = &plan.End{Reason: reason, Grace: grace}
	}
	w.end.Grace = min(w.end.Grace, grace)
}

// deletionGrace is the time that the deletion leaves the pod.
func deletionGrace(pod *corev1.Pod) time.Duration {
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return specGrace(pod)
}

// strangersGrace is the time that a pod gets of which only the runtime knows: it was deleted while no kubelet looked.
const strangersGrace = time.Second

// specGrace is the time that the pod asks for.
func specGrace(pod *corev1.Pod) time.Duration {
	if pod == nil {
		return strangersGrace
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return 30 * time.Second
}

// deadline is when the pod may no longer be active; zero means never.
func deadline(pod *corev1.Pod) time.Time {
	if pod == nil || pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

func overdue(pod *corev1.Pod, now time.Time) bool {
	d := deadline(pod)
	return !d.IsZero() && !now.Before(d) && !status.Terminal(pod)
}

// settle is what is left to do when nothing of the pod runs any more: its volumes and cgroup go, its status is
// the last one. Only then is the pod ended.
func (w *worker) settle(ctx context.Context, pod *corev1.Pod, gone bool, s corev1.PodStatus) error {
	w.k.probes.Forget(w.uid)
	if err := w.k.volumes.TearDown(w.uid); err != nil {
		return fmt.Errorf("remove the pod's volumes: %w", err)
	}
	if err := w.k.cgroups.RemovePod(w.uid); err != nil {
		w.log.Debug("cgroup not removed yet", "error", err)
	}
	if pod != nil && !gone {
		if err := w.k.writer.flush(ctx, pod, s); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("write the final status: %w", err)
		}
	}
	w.k.objects.Forget(w.uid)
	w.ended = true
	return w.release()
}

// release gives back what the pod was let in with.
func (w *worker) release() error {
	w.mu.Lock()
	w.admitted = false
	w.mu.Unlock()
	return w.k.shareBurstable()
}

// remove forgets a pod that has ended and that nobody wants to look at any more.
func (w *worker) remove(ctx context.Context, pod *corev1.Pod, gone bool) (bool, error) {
	deleted := pod != nil && pod.DeletionTimestamp != nil
	if !gone && !deleted {
		return false, nil
	}
	if deleted && !gone {
		zero := int64(0)
		err := w.k.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return false, fmt.Errorf("delete the pod's object: %w", err)
		}
	}
	if err := w.removeTraces(ctx, pod); err != nil {
		return false, fmt.Errorf("remove what is left of the pod: %w", err)
	}
	return true, nil
}

// removeTraces removes the dead containers, the logs and the cgroup.
func (w *worker) removeTraces(ctx context.Context, pod *corev1.Pod) error {
	runtime, err := w.k.runtime.Pod(ctx, w.uid)
	if err != nil {
		return err
	}
	for _, c := range runtime.Containers {
		if err := w.k.runtime.RemoveContainer(ctx, c.ID); err != nil {
			return err
		}
	}
	for _, s := range runtime.Sandboxes {
		if err := w.k.runtime.RemoveSandbox(ctx, s.ID); err != nil {
			return err
		}
	}
	if err := w.k.cgroups.RemovePod(w.uid); err != nil {
		w.log.Warn("cgroup left behind", "error", err)
	}
	named := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: runtime.Namespace, Name: runtime.Name, UID: w.uid}}
	if pod != nil {
		named = pod
	}
	if named.Name == "" {
		return nil
	}
	return os.RemoveAll(w.k.node.LogDir(named))
}
