package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"k8s.io/client-go/kubernetes/scheme"
)

// Name is the spec.schedulerName of the pods that are ours.
const Name = v1.DefaultSchedulerName

// bindWorkers is how many bindings may wait for the disk at once. etcd commits those that wait together, so that more
// workers mean fewer syncs each, up to about here.
const bindWorkers = 64

// Config is what the scheduler needs.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Logger    *slog.Logger
}

// Run schedules until ctx ends.
func Run(ctx context.Context, c Config) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
	defer broadcaster.Shutdown()

	l := newLoop(c, broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: Name}))
	synced, err := l.follow(c.Informers)
	if err != nil {
		return fmt.Errorf("follow nodes and pods: %w", err)
	}
	c.Informers.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil // ctx has ended
	}
	l.run(ctx)
	l.binding.Wait()
	return nil
}

// loop is the one goroutine that owns state and queue, and its mailbox. All others only send to it.
type loop struct {
	client   kubernetes.Interface
	recorder record.EventRecorder
	log      *slog.Logger

	state   *state
	queue   *queue
	assumed map[types.UID]bool // planned, and not yet seen bound

	mail    mailbox
	slots   chan struct{} // one for each binding that may be under way
	binding sync.WaitGroup
}

func newLoop(c Config, r record.EventRecorder) *loop {
	log := c.Logger
	if log == nil {
		log = slog.Default()
	}
	return &loop{
		client: c.Client, recorder: r, log: log,
		state: newState(), queue: newQueue(), assumed: map[types.UID]bool{},
		mail:  mailbox{bell: make(chan struct{}, 1)},
		slots: make(chan struct{}, bindWorkers),
	}
}

// mailbox carries changes to the loop without ever blocking who sends them.
type mailbox struct {
	mu   sync.Mutex
	in   []func()
	bell chan struct{}
}

func (m *mailbox) send(f func()) {
	m.mu.Lock()
	m.in = append(m.in, f)
	m.mu.Unlock()
	select {
	case m.bell <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.in
	m.in = nil
	return in
}

func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(unschedulableMax)
	defer timer.Stop()
	for {
		for _, apply := range l.mail.take() {
			apply()
		}
		if w := l.queue.next(); w != nil {
			l.schedule(ctx, w)
			continue
		}
		wait := l.queue.awaken(time.Now())
		if len(l.queue.ready) > 0 {
			continue
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.mail.bell:
		case <-timer.C:
		}
	}
}

// schedule takes one pod through plan, assume and bind.
func (l *loop) schedule(ctx context.Context, w *waiting) {
	d := plan(w.pod, l.state)
	if d.node == "" {
		l.queue.failed(w, time.Now())
		l.background(ctx, func() { l.reportUnschedulable(ctx, w.pod, d) })
		return
	}
	assumed := w.pod.DeepCopy()
	assumed.Spec.NodeName = d.node
	l.state.setPod(assumed)
	l.assumed[assumed.UID] = true
	l.queue.remove(assumed.UID)
	l.queue.placed()
	l.log.Debug("scheduled", "pod", assumed.Namespace+"/"+assumed.Name, "node", d.node, "reason", d.reason)
	l.background(ctx, func() { l.bind(ctx, w, d) })
}

// background runs f beside the loop; it blocks while all slots are taken, so that decisions do not run ahead of the
// disk without bound.
func (l *loop) background(ctx context.Context, f func()) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	l.binding.Go(func() {
		defer func() { <-l.slots }()
		f()
	})
}
