package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/logs"

	"bonsai/pkg/kubelet/cri"
)

func (c Config) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	options, err := logOptions(q, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod, runtime, ok := c.found(w, r)
	if !ok {
		return
	}
	run, err := runOf(pod, runtime, chi.URLParam(r, "container"), on(q, "previous"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	stdout, stderr := streamsFor(q.Get("stream"), &flusher{w, http.NewResponseController(w)})
	err = logs.ReadLogs(r.Context(), run.LogPath, run.ID, options, &alive{runtime: c.Runtime, pod: pod.UID}, stdout, stderr)
	if err != nil && r.Context().Err() == nil {
		fmt.Fprintf(w, "unable to retrieve container logs for %s://%s", c.RuntimeName, run.ID)
		c.Logger.Info("logs not read", "pod", pod.Namespace+"/"+pod.Name, "container", run.Name, "error", err)
	}
}

// streamsFor sends what is not asked for nowhere.
func streamsFor(stream string, to io.Writer) (stdout, stderr io.Writer) {
	switch stream {
	case "Stdout":
		return to, io.Discard
	case "Stderr":
		return io.Discard, to
	}
	return to, to
}

func on(q url.Values, name string) bool {
	b, _ := strconv.ParseBool(q.Get(name))
	return b
}

func logOptions(q url.Values, now time.Time) (*logs.LogOptions, error) {
	o := &logs.LogOptions{Follow: on(q, "follow"), Timestamp: on(q, "timestamps")}
	for name, to := range map[string]**int64{"tailLines": &o.TailLines, "limitBytes": &o.LimitBytes} {
		if q.Get(name) == "" {
			continue
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s must be a number that is not negative", name)
		}
		*to = &n
	}
	if s := q.Get("sinceSeconds"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("sinceSeconds must be a number: %w", err)
		}
		o.Since = now.Add(-time.Duration(n) * time.Second)
	}
	if s := q.Get("sinceTime"); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, fmt.Errorf("sinceTime: %w", err)
		}
		o.Since = t
	}
	return o, nil
}

// runOf returns the run whose log is asked for: the newest that has begun, or the one before.
func runOf(pod *corev1.Pod, runtime *cri.Pod, name string, previous bool) (*cri.Container, error) {
	runs := runtime.All(name)
	for len(runs) > 0 && runs[0].State == cri.Created {
		runs = runs[1:]
	}
	if previous {
		// A container that waits for its next start has its last run as the previous one.
		if len(runs) > 0 && runs[0].State == cri.Exited && waiting(pod, name) != nil {
			return runs[0], nil
		}
		if len(runs) < 2 {
			return nil, fmt.Errorf("previous terminated container %q in pod %q not found", name, pod.Name)
		}
		return runs[1], nil
	}
	if len(runs) > 0 {
		return runs[0], nil
	}
	if w := waiting(pod, name); w != nil {
		return nil, waitingError(pod, name, w)
	}
	return nil, fmt.Errorf("container %q in pod %q is not available", name, pod.Name)
}

func waitingError(pod *corev1.Pod, name string, w *corev1.ContainerStateWaiting) error {
	switch w.Reason {
	case "ErrImagePull":
		return fmt.Errorf("container %q in pod %q is waiting to start: image can't be pulled", name, pod.Name)
	case "ImagePullBackOff":
		return fmt.Errorf("container %q in pod %q is waiting to start: trying and failing to pull image", name, pod.Name)
	}
	return fmt.Errorf("container %q in pod %q is waiting to start: %v", name, pod.Name, w.Reason)
}

func waiting(pod *corev1.Pod, name string) *corev1.ContainerStateWaiting {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return list[i].State.Waiting
			}
		}
	}
	return nil
}

// flusher sends each line on at once: somebody may be following.
type flusher struct {
	w    io.Writer
	conn *http.ResponseController
}

func (f *flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.conn.Flush()
	}
	return n, err
}

// alive answers the one question that following a log has for the runtime: does the container still run? The
// rest of the interface is never called.
type alive struct {
	internalapi.RuntimeService
	runtime cri.Runtime
	pod     types.UID
}

// ContainerStatus answers with the state alone.
func (a *alive) ContainerStatus(ctx context.Context, id string, _ bool) (*runtimev1.ContainerStatusResponse, error) {
	pod, err := a.runtime.Pod(ctx, a.pod)
	if err != nil {
		return nil, err
	}
	state := runtimev1.ContainerState_CONTAINER_EXITED
	for _, c := range pod.Containers {
		if c.ID == id && c.State == cri.Running {
			state = runtimev1.ContainerState_CONTAINER_RUNNING
		}
	}
	return &runtimev1.ContainerStatusResponse{Status: &runtimev1.ContainerStatus{State: state}}, nil
}
