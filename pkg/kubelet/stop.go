package kubelet

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/plan"
	"bonsai/pkg/kubelet/probe"
)

// leastGrace is what a container gets after its preStop hook has used its time up.
const leastGrace = 2 * time.Second

// stop stops containers stage by stage. The grace period is one for all stages: a later one gets what is left.
func (w *worker) stop(ctx context.Context, pod *corev1.Pod, stages [][]plan.Stop) error {
	begun := time.Now()
	for _, stage := range stages {
		g, ctx := errgroup.WithContext(ctx)
		for _, s := range stage {
			left := s.Grace
			if spent := time.Since(begun); s.Grace > 0 && spent > time.Second {
				left = max(s.Grace-spent, leastGrace)
			}
			g.Go(func() error { return w.stopContainer(ctx, pod, s, left) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) stopContainer(ctx context.Context, pod *corev1.Pod, s plan.Stop, grace time.Duration) error {
	w.mu.Lock()
	hooked := w.hooked[s.ID]
	w.hooked[s.ID] = true
	w.mu.Unlock()
	if !hooked {
		w.k.events.container(pod, s.Name, normal, "Killing", "%s", s.Event)
		if grace > 0 && pod != nil {
			begun := time.Now()
			w.preStop(ctx, pod, s, grace)
			grace = max(grace-time.Since(begun).Truncate(time.Second), leastGrace)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.k.runtime.StopContainer(ctx, s.ID, grace)
}

// preStop runs the container's preStop hook for as long as the grace period lasts.
func (w *worker) preStop(ctx context.Context, pod *corev1.Pod, s plan.Stop, grace time.Duration) {
	c := containerOf(pod, s.Name)
	if c == nil || c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	err := w.hook(ctx, pod, c, s.ID, first(podIPsOf(pod)), c.Lifecycle.PreStop)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		w.k.events.container(pod, s.Name, warning, "FailedPreStopHook", "PreStopHook failed")
		w.log.Info("preStop hook failed", "container", s.Name, "error", err)
	}
}

// postStart runs the container's postStart hook; a container whose hook failed is stopped.
func (w *worker) postStart(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id, ip string) *startError {
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return nil
	}
	err := w.hook(ctx, pod, c, id, ip, c.Lifecycle.PostStart)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	w.k.events.container(pod, c.Name, warning, "FailedPostStartHook", "PostStartHook failed")
	stop := plan.Stop{Name: c.Name, ID: id, Event: "FailedPostStartHook", Grace: specGrace(pod)}
	if err := w.stopContainer(ctx, pod, stop, stop.Grace); err != nil {
		w.log.Info("container not stopped", "container", c.Name, "error", err)
	}
	return &startError{"PostStartHookError", err}
}

// hook runs one lifecycle handler.
func (w *worker) hook(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id, ip string, h *corev1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		out, code, err := w.k.runtime.ExecSync(ctx, id, h.Exec.Command, 0)
		if err == nil && code != 0 {
			err = errors.New("command exited with a code other than 0: " + string(out))
		}
		return err
	case h.HTTPGet != nil:
		_, _, err := probe.Get(ctx, probe.Target{Pod: pod, Container: c, ID: id, IP: ip}, h.HTTPGet)
		return err
	case h.Sleep != nil:
		pause(ctx, time.Duration(h.Sleep.Seconds)*time.Second)
	}
	return nil
}
