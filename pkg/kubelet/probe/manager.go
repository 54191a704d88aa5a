package probe

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/kubelet/cri"
)

// The kinds of probe, as results and events name them.
const (
	Liveness  = "liveness"
	Readiness = "readiness"
	Startup   = "startup"
)

// Results are those of one run of a container.
type Results struct {
	ID string
	// Started is true without a startup probe, Ready without a readiness probe.
	Started, Ready bool
	// Failed is the probe that wants the container restarted, with the grace period that it asks for.
	Failed string
	Grace  *int64
}

// Manager runs the probes of all pods.
type Manager struct {
	// Run does one probe.
	Run func(ctx context.Context, t Target, p *corev1.Probe) (ok bool, output string)
	// Changed is called when a result of the pod has turned; Unhealthy for each answer that is a failure.
	Changed   func(types.UID)
	Unhealthy func(pod *corev1.Pod, container, kind, output string)

	mu   sync.Mutex
	runs map[string]*run
}

// Target is the run of a container that a probe is for.
type Target struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	ID, IP    string
	StartedAt time.Time
}

type run struct {
	pod     types.UID
	results Results
	started chan struct{}
	cancel  context.CancelFunc
	// mortal ends the probes that could restart the container.
	mortal context.CancelFunc
}

// Sync begins the probes of containers that began to run and ends those of containers that do not run any more.
// While the pod ends, nothing wants its containers restarted, but its readiness still matters.
func (m *Manager) Sync(ctx context.Context, pod *corev1.Pod, runtime *cri.Pod, ip string, ending bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs == nil {
		m.runs = map[string]*run{}
	}
	running := map[string]bool{}
	for _, c := range containers(pod) {
		r := runtime.Current(c.Name)
		if r == nil || r.State != cri.Running || !hasProbes(c) {
			continue
		}
		running[r.ID] = true
		if m.runs[r.ID] == nil && !ending {
			m.runs[r.ID] = m.begin(ctx, Target{Pod: pod, Container: c, ID: r.ID, IP: ip, StartedAt: r.StartedAt})
		}
	}
	for id, r := range m.runs {
		switch {
		case r.pod != pod.UID:
		case !running[id]:
			r.cancel()
			delete(m.runs, id)
		case ending:
			r.mortal()
		}
	}
}

// containers are those that may have probes: sidecars and the ordinary ones.
func containers(pod *corev1.Pod) (out []*corev1.Container) {
	for i := range pod.Spec.InitContainers {
		out = append(out, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out = append(out, &pod.Spec.Containers[i])
	}
	return out
}

func hasProbes(c *corev1.Container) bool {
	return c.LivenessProbe != nil || c.ReadinessProbe != nil || c.StartupProbe != nil
}

// Forget ends all probes of a pod.
func (m *Manager) Forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.runs {
		if r.pod == uid {
			r.cancel()
			delete(m.runs, id)
		}
	}
}

// Results returns what is known of one run of a container.
func (m *Manager) Results(id string) Results {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runs[id]; r != nil {
		return r.results
	}
	return Results{ID: id}
}

func (m *Manager) begin(ctx context.Context, t Target) *run {
	ctx, cancel := context.WithCancel(ctx)
	mortal, stop := context.WithCancel(ctx)
	r := &run{pod: t.Pod.UID, started: make(chan struct{}), cancel: cancel, mortal: stop,
		results: Results{ID: t.ID, Started: t.Container.StartupProbe == nil, Ready: t.Container.ReadinessProbe == nil}}
	if r.results.Started {
		close(r.started)
	}
	if p := t.Container.StartupProbe; p != nil {
		go m.loop(mortal, t, r, Startup, p)
	}
	if p := t.Container.LivenessProbe; p != nil {
		go m.loop(mortal, t, r, Liveness, p)
	}
	if p := t.Container.ReadinessProbe; p != nil {
		go m.loop(ctx, t, r, Readiness, p)
	}
	return r
}

// loop asks until the run ends, or, for a startup probe, until it has an answer.
func (m *Manager) loop(ctx context.Context, t Target, r *run, kind string, p *corev1.Probe) {
	if kind != Startup && !wait(ctx, r.started) {
		return
	}
	delay := time.Until(t.StartedAt.Add(time.Duration(p.InitialDelaySeconds) * time.Second))
	if !pause(ctx, delay) {
		return
	}
	period := time.Duration(max(1, p.PeriodSeconds)) * time.Second
	count := newCounter(p, kind == Liveness)
	for {
		begun := time.Now()
		ok, output := m.Run(ctx, t, p)
		if ctx.Err() != nil {
			return
		}
		if !ok {
			m.Unhealthy(t.Pod, t.Container.Name, kind, output)
		}
		if count.add(ok) && m.turn(r, kind, ok, p) {
			return
		}
		if !pause(ctx, time.Until(begun.Add(period))) {
			return
		}
	}
}

// turn notes a result and tells whether the probe has done its work.
func (m *Manager) turn(r *run, kind string, ok bool, p *corev1.Probe) (finished bool) {
	m.mu.Lock()
	before := r.results
	switch {
	case kind == Readiness:
		r.results.Ready = ok
	case kind == Startup && ok:
		r.results.Started = true
		close(r.started)
		finished = true
	case !ok:
		r.results.Failed, r.results.Grace = kind, p.TerminationGracePeriodSeconds
		finished = true
	}
	changed := before != r.results
	m.mu.Unlock()
	if changed {
		m.Changed(r.pod)
	}
	return finished
}

func wait(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

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
