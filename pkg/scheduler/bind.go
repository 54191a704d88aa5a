package scheduler

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// bind writes the decision. If that fails, the pod's place is given back and the pod waits again.
func (l *loop) bind(ctx context.Context, w *waiting, d decision) {
	pod := w.pod
	err := l.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: d.node},
	}, metav1.CreateOptions{})
	if err == nil {
		l.recorder.Eventf(pod, v1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, d.node)
		return
	}
	gone := apierrors.IsNotFound(err) || apierrors.IsConflict(err)
	if !gone && ctx.Err() == nil {
		l.log.Warn("bind", "pod", pod.Namespace+"/"+pod.Name, "node", d.node, "err", err)
	}
	l.mail.send(func() { l.forget(w, gone) })
}

// forget takes an assumption back. A pod that is gone, or that somebody else bound, does not wait again: what the
// informers say of it has come or will.
func (l *loop) forget(w *waiting, gone bool) {
	if !l.assumed[w.pod.UID] {
		return // seen bound, or deleted, meanwhile
	}
	delete(l.assumed, w.pod.UID)
	l.state.removePod(w.pod.UID)
	if !gone {
		l.queue.add(w.pod.UID, w, hasRequiredAffinity(w.pod))
		l.queue.failed(w, time.Now())
		w.wakeAt = w.notBefore
	}
	l.queue.wake() // its place is free
}

// reportUnschedulable tells the user, by an event and the condition that `kubectl describe` and others read. The
// condition is only written when it says something new.
func (l *loop) reportUnschedulable(ctx context.Context, pod *v1.Pod, d decision) {
	l.recorder.Event(pod, v1.EventTypeWarning, "FailedScheduling", d.reason)
	i := slices.IndexFunc(pod.Status.Conditions, func(c v1.PodCondition) bool { return c.Type == v1.PodScheduled })
	transition := metav1.Now()
	if i >= 0 {
		c := pod.Status.Conditions[i]
		if c.Status == v1.ConditionFalse && c.Reason == v1.PodReasonUnschedulable && c.Message == d.reason {
			return
		}
		if c.Status == v1.ConditionFalse {
			transition = c.LastTransitionTime
		}
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": map[string]any{"conditions": []v1.PodCondition{{
			Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable, Message: d.reason,
			LastTransitionTime: transition, ObservedGeneration: pod.Generation,
		}}},
	})
	if err == nil {
		_, err = l.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
		l.log.Warn("write the PodScheduled condition", "pod", pod.Namespace+"/"+pod.Name, "err", err)
	}
}
