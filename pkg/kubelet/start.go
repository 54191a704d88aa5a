package kubelet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/plan"
	"bonsai/pkg/kubelet/spec"
)

// startError is a failure to start a container, with the reason its waiting state shows.
type startError struct {
	reason string
	err    error
}

func (e *startError) Error() string { return e.reason + ": " + message(e.err) }

// start makes and starts one container and remembers how that went.
func (w *worker) start(ctx context.Context, pod *corev1.Pod, s plan.Start) {
	m := w.memory[s.Name]
	if m == nil {
		m = &memory{}
		w.memory[s.Name] = m
	}
	err := w.startContainer(ctx, pod, s)
	if ctx.Err() != nil {
		return
	}
	// The image is looked at again before the next run: it may have been removed, or its policy be Always.
	w.forgetImage(s.Name)
	m.failure = nil
	if err != nil {
		m.failure = &plan.Failure{Reason: err.reason, Message: message(err.err), Retry: time.Now().Add(retryStart)}
		w.log.Info("container not started", "container", s.Name, "error", err)
		if err.reason != "PostStartHookError" {
			w.k.events.container(pod, s.Name, warning, "Failed", "Error: %s", message(err.err))
		}
		return
	}
	delete(w.pulls, s.Name)
}

func (w *worker) startContainer(ctx context.Context, pod *corev1.Pod, s plan.Start) *startError {
	runtime, err := w.k.runtime.Pod(ctx, w.uid)
	if err != nil {
		return &startError{"CreateContainerError", err}
	}
	if last := runtime.Current(s.Name); last != nil {
		m := w.memory[s.Name]
		m.backOff = plan.NextBackOff(m.backOff, last.FinishedAt.Sub(last.StartedAt))
	}
	c := containerOf(pod, s.Name)
	run, err := w.prepare(ctx, pod, c, s, w.k.podIPs(pod, runtime))
	if err != nil {
		return &startError{"CreateContainerConfigError", err}
	}
	config, err := w.k.node.Config(run)
	if err != nil {
		return &startError{"CreateContainerConfigError", err}
	}
	sandbox, err := w.k.node.Sandbox(pod, 0)
	if err != nil {
		return &startError{"CreateContainerConfigError", err}
	}
	if err := os.MkdirAll(filepath.Join(sandbox.LogDirectory, c.Name), 0o755); err != nil {
		return &startError{"CreateContainerConfigError", err}
	}
	id, err := w.k.runtime.CreateContainer(ctx, s.SandboxID, config, sandbox)
	if err != nil {
		return &startError{"CreateContainerError", err}
	}
	w.k.events.container(pod, c.Name, normal, "Created", "Container created")
	if err := w.k.runtime.StartContainer(ctx, id); err != nil {
		return &startError{"RunContainerError", err}
	}
	w.k.events.container(pod, c.Name, normal, "Started", "Container started")
	return w.postStart(ctx, pod, c, id, first(run.PodIPs))
}

// prepare looks up all that a run of a container needs.
func (w *worker) prepare(ctx context.Context, pod *corev1.Pod, c *corev1.Container, s plan.Start, ips []string) (spec.Run, error) {
	run := spec.Run{Pod: pod, Container: c, Attempt: s.RestartCount, ImageRef: s.ImageRef, PodIPs: ips}
	env, err := w.k.node.Env(w.k, pod, c, ips)
	if err != nil {
		return run, err
	}
	run.Env = env
	if run.Image, err = w.k.runtime.Image(ctx, s.ImageRef); err != nil {
		return run, err
	}
	run.TargetID = w.target(ctx, pod, c.Name)
	run.Mounts, err = w.mounts(pod, c, env, ips)
	return run, err
}

// target is the container whose processes an ephemeral container asks to see.
func (w *worker) target(ctx context.Context, pod *corev1.Pod, name string) string {
	for _, e := range pod.Spec.EphemeralContainers {
		if e.Name != name || e.TargetContainerName == "" {
			continue
		}
		if runtime, err := w.k.runtime.Pod(ctx, w.uid); err == nil {
			if run := runtime.Current(e.TargetContainerName); run != nil {
				return run.ID
			}
		}
	}
	return ""
}

// mounts returns the container's volumes, /etc/hosts and the file for its termination message.
func (w *worker) mounts(pod *corev1.Pod, c *corev1.Container, env []corev1.EnvVar, ips []string) ([]*runtimev1.Mount, error) {
	var out []*runtimev1.Mount
	ownHosts := false
	for i := range c.VolumeMounts {
		m, err := w.mount(pod, c, i, env)
		if err != nil {
			return nil, err
		}
		ownHosts = ownHosts || m.ContainerPath == "/etc/hosts"
		out = append(out, m)
	}
	if !ownHosts {
		hosts, err := w.writeHosts(pod, ips)
		if err != nil {
			return nil, err
		}
		out = append(out, &runtimev1.Mount{ContainerPath: "/etc/hosts", HostPath: hosts})
	}
	if c.TerminationMessagePath != "" {
		path, err := w.messageFile(pod, c)
		if err != nil {
			return nil, err
		}
		out = append(out, &runtimev1.Mount{ContainerPath: c.TerminationMessagePath, HostPath: path})
	}
	return out, nil
}

// mount is the container's i-th.
func (w *worker) mount(pod *corev1.Pod, c *corev1.Container, i int, env []corev1.EnvVar) (*runtimev1.Mount, error) {
	m := &c.VolumeMounts[i]
	path, ok := w.volumes.Paths[m.Name]
	if !ok {
		return nil, fmt.Errorf("cannot find volume %q to mount into container", m.Name)
	}
	sub := m.SubPath
	if m.SubPathExpr != "" {
		sub = spec.Expand(m.SubPathExpr, func(name string) (string, bool) { return lookup(env, name) })
	}
	if sub != "" {
		var err error
		if path, err = w.k.volumes.SubPath(pod.UID, m.Name, path, sub, c.Name, i); err != nil {
			return nil, err
		}
	}
	at := m.MountPath
	if !filepath.IsAbs(at) {
		at = filepath.Join("/", at)
	}
	return &runtimev1.Mount{
		ContainerPath: at, HostPath: path, Readonly: m.ReadOnly, Propagation: propagation(m),
		RecursiveReadOnly: m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled,
	}, nil
}

func lookup(env []corev1.EnvVar, name string) (string, bool) {
	for _, e := range env {
		if e.Name == name {
			return e.Value, true
		}
	}
	return "", false
}

func propagation(m *corev1.VolumeMount) runtimev1.MountPropagation {
	if m.MountPropagation == nil {
		return runtimev1.MountPropagation_PROPAGATION_PRIVATE
	}
	switch *m.MountPropagation {
	case corev1.MountPropagationHostToContainer:
		return runtimev1.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
	case corev1.MountPropagationBidirectional:
		return runtimev1.MountPropagation_PROPAGATION_BIDIRECTIONAL
	}
	return runtimev1.MountPropagation_PROPAGATION_PRIVATE
}

// messageFile makes the file that the container writes its last words to; each run has its own.
func (w *worker) messageFile(pod *corev1.Pod, c *corev1.Container) (string, error) {
	dir := filepath.Join(w.k.node.PodDir(pod), "containers", c.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%08x", rand.Uint32()))
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o666)
}
