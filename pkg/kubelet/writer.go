package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
)

// writer sends the statuses of pods. Each pod has at most one write under way and at most one waiting, the
// newest: a slow API server costs intermediate states, not order and not the worker's time.
type writer struct {
	client kubernetes.Interface
	log    *slog.Logger

	mu   sync.Mutex
	pods map[types.UID]*writing
}

// writing is one pod's: last is what the API has, as far as known. sending is held over a write, so that one that
// is slow cannot land after the next.
type writing struct {
	sending sync.Mutex
	mu      sync.Mutex
	last    *corev1.PodStatus
	next    *corev1.PodStatus
	busy    bool
}

func newWriter(client kubernetes.Interface, log *slog.Logger) *writer {
	return &writer{client: client, log: log, pods: map[types.UID]*writing{}}
}

func (w *writer) of(uid types.UID) *writing {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pods[uid] == nil {
		w.pods[uid] = &writing{}
	}
	return w.pods[uid]
}

// forget drops a pod.
func (w *writer) forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, uid)
}

// latest returns the status written last, if one was: it is newer than what an informer may still show.
func (w *writer) latest(uid types.UID) *corev1.PodStatus {
	p := w.of(uid)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil {
		return p.next
	}
	return p.last
}

// set sends a status beside the caller, if it differs from the last.
func (w *writer) set(ctx context.Context, pod *corev1.Pod, s corev1.PodStatus) {
	p := w.of(pod.UID)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = pod.Status.DeepCopy()
	}
	if p.next == nil && equality.Semantic.DeepEqual(*p.last, s) || p.next != nil && equality.Semantic.DeepEqual(*p.next, s) {
		return
	}
	p.next = &s
	if !p.busy {
		p.busy = true
		go w.drain(ctx, pod, p)
	}
}

// retryWrite is the pause after a write that failed.
const retryWrite = time.Second

// drain writes until nothing waits.
func (w *writer) drain(ctx context.Context, pod *corev1.Pod, p *writing) {
	for w.writeNext(ctx, pod, p) {
	}
}

// writeNext writes the status that waits, and returns false if there is none.
func (w *writer) writeNext(ctx context.Context, pod *corev1.Pod, p *writing) bool {
	p.sending.Lock()
	p.mu.Lock()
	next, last := p.next, p.last
	if next == nil || ctx.Err() != nil {
		p.busy = false
		p.mu.Unlock()
		p.sending.Unlock()
		return false
	}
	p.mu.Unlock()
	err := w.patch(ctx, pod, last, next)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		p.sending.Unlock()
		w.log.Warn("pod status not written; trying again", "pod", pod.Namespace+"/"+pod.Name, "error", err)
		pause(ctx, retryWrite)
		return true
	}
	p.mu.Lock()
	p.last = next
	if p.next == next {
		p.next = nil
	}
	p.mu.Unlock()
	p.sending.Unlock()
	return true
}

// flush writes a status before it returns, and nothing after it that was asked for before.
func (w *writer) flush(ctx context.Context, pod *corev1.Pod, s corev1.PodStatus) error {
	p := w.of(pod.UID)
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	last := p.last
	if last == nil {
		last = &pod.Status
	}
	p.next = nil
	p.mu.Unlock()
	if equality.Semantic.DeepEqual(*last, s) {
		return nil
	}
	if err := w.patch(ctx, pod, last, &s); err != nil {
		return err
	}
	p.mu.Lock()
	p.last = &s
	p.mu.Unlock()
	return nil
}

// patch sends the difference. The UID in it makes the API server refuse a patch meant for an earlier pod of that name.
func (w *writer) patch(ctx context.Context, pod *corev1.Pod, last, next *corev1.PodStatus) error {
	before, err := json.Marshal(corev1.Pod{Status: *last})
	if err != nil {
		return err
	}
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: *next})
	if err != nil {
		return err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return err
	}
	if _, err := w.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	return nil
}

// pause waits, or returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
