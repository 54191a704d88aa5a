package kubelet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/plan"
)

// retrySandbox and retryStart are the pauses after a sandbox or a container could not be made.
const (
	retrySandbox = 10 * time.Second
	retryStart   = 10 * time.Second
)

// apply does what a plan says, in its order. It stops at the first failure: what is left is planned anew. It is
// interrupted when the pod's end comes nearer.
func (w *worker) apply(ctx context.Context, pod *corev1.Pod, p plan.Plan) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	w.interrupt = cancel
	if w.pod != pod && sooner(pod, w.pod) {
		cancel()
	}
	w.mu.Unlock()
	if err := w.act(ctx, pod, p); err != nil && ctx.Err() == nil {
		w.log.Info("pod not as planned yet", "error", err)
	}
	w.mu.Lock()
	w.interrupt = nil
	w.mu.Unlock()
}

func (w *worker) act(ctx context.Context, pod *corev1.Pod, p plan.Plan) error {
	for _, pull := range p.Pull {
		w.pull(pod, pull)
	}
	if err := w.stop(ctx, pod, p.Stop); err != nil {
		return err
	}
	for _, id := range p.StopSandboxes {
		if err := w.k.runtime.StopSandbox(ctx, id); err != nil {
			w.k.events.pod(pod, warning, "FailedKillPod", "error killing pod: %v", err)
			return err
		}
	}
	if p.Sandbox != nil {
		if err := w.newSandbox(ctx, pod, p.Sandbox); err != nil {
			return err
		}
	}
	for _, s := range p.Start {
		w.start(ctx, pod, s)
	}
	var errs []error
	for _, id := range p.Remove {
		errs = append(errs, w.k.runtime.RemoveContainer(ctx, id))
	}
	for _, id := range p.RemoveSandboxes {
		errs = append(errs, w.k.runtime.RemoveSandbox(ctx, id))
	}
	return errors.Join(errs...)
}

// newSandbox makes the pod's cgroup, its log directory and its sandbox.
func (w *worker) newSandbox(ctx context.Context, pod *corev1.Pod, s *plan.NewSandbox) error {
	if s.Changed {
		w.k.events.pod(pod, normal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	err := w.makeSandbox(ctx, pod, s)
	if err != nil && ctx.Err() == nil {
		w.k.events.pod(pod, warning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
		w.sandboxRetry = time.Now().Add(retrySandbox)
	}
	return err
}

func (w *worker) makeSandbox(ctx context.Context, pod *corev1.Pod, s *plan.NewSandbox) error {
	if _, fallback, err := w.k.node.DNS(pod); err == nil && fallback {
		w.tell("dns", "fallback", func() { w.missingDNS(pod) })
	}
	config, err := w.k.node.Sandbox(pod, s.Attempt)
	if err != nil {
		return err
	}
	if err := errors.Join(w.k.cgroups.MakePod(pod), w.k.shareBurstable()); err != nil {
		return err
	}
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return err
	}
	handler := ""
	if pod.Spec.RuntimeClassName != nil {
		handler = *pod.Spec.RuntimeClassName
	}
	_, err = w.k.runtime.RunSandbox(ctx, config, handler)
	return err
}

func (w *worker) missingDNS(pod *corev1.Pod) {
	w.k.events.pod(pod, warning, "MissingClusterDNS", "pod: %q. %s", pod.Name+"_"+pod.Namespace+"("+string(pod.UID)+")",
		`kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`)
}

// pull fetches an image beside the worker and wakes it when that is done, either way.
func (w *worker) pull(pod *corev1.Pod, p plan.Pull) {
	c := containerOf(pod, p.Name)
	w.setImage(p.Name, c.Image, plan.Image{Fetching: true})
	next := min(max(firstPullBackOff, 2*w.pulls[p.Name]), maxPullBackOff)
	w.pulls[p.Name] = next
	w.k.running.Go(func() {
		ref, err := w.k.images.ensure(w.k.ctx, pod, c)
		if err != nil {
			w.setImage(p.Name, c.Image, plan.Image{Failure: pullFailure(err, next, time.Now())})
		} else {
			w.setImage(p.Name, c.Image, plan.Image{Ref: ref})
		}
		w.wake()
	})
}

// setImage notes how far a container's image is, unless the container has been given another one meanwhile.
func (w *worker) setImage(name, image string, i plan.Image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := containerOf(w.pod, name); c != nil && c.Image == image {
		w.images[name] = fetched{image, i}
	}
}

// forgetImage makes the next start look for the container's image again.
func (w *worker) forgetImage(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.images, name)
}

// showPullError is how long a failed pull is shown as ErrImagePull before it is shown as the back-off that it is.
const showPullError = 3 * time.Second

// image returns how far a container's image is. A pull that failed a while ago becomes ImagePullBackOff.
func (w *worker) image(pod *corev1.Pod, name string, now time.Time) plan.Image {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := containerOf(pod, name)
	i := w.images[name]
	if i.name != "" && i.name != c.Image { // what was tried before says nothing of this one
		delete(w.images, name)
		delete(w.pulls, name)
		return plan.Image{}
	}
	f := i.Failure
	if f == nil || f.Reason != "ErrImagePull" || now.Before(f.Retry.Add(showPullError-w.pulls[name])) {
		return i.Image
	}
	i.Failure = &plan.Failure{Reason: "ImagePullBackOff", Retry: f.Retry, Message: "Back-off pulling image \"" + c.Image + "\": ErrImagePull: " + f.Message}
	w.images[name] = i
	w.k.events.container(pod, name, normal, "BackOff", "Back-off pulling image %q", c.Image)
	w.k.events.container(pod, name, warning, "Failed", "Error: ImagePullBackOff")
	return i.Image
}

// turning is when a failed pull is to be shown as a back-off; zero if none is.
func (w *worker) turning() (out time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.images {
		if i.Failure != nil && i.Failure.Reason == "ErrImagePull" {
			out = earliest(out, time.Now().Add(showPullError))
		}
	}
	return out
}

// writeHosts writes the pod's /etc/hosts and returns where it is.
func (w *worker) writeHosts(pod *corev1.Pod, ips []string) (string, error) {
	path := filepath.Join(w.k.node.PodDir(pod), "etc-hosts")
	text, err := w.k.node.Hosts(pod, ips)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o644)
}
