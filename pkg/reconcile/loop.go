package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// Env is what all loops of a process share. Only Client and Informers are required.
type Env struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Logger    *slog.Logger
	// History keeps the last plans for people to read.
	History *History
	// Queues, if set, counts what the loops' queues do.
	Queues *Queues
}

// log is the logger of a loop.
func (e Env) log(loop string) *slog.Logger {
	if e.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Logger.With("loop", loop)
}

// Loop is one control loop. The fields are its description; Run runs it, once.
type Loop[S any] struct {
	Env
	// Name is the source of its events, "deployment-controller".
	Name string
	// Queue is what upstream calls the queue that this one stands for, in metrics; Name if empty.
	Queue string
	// Workers is how many keys are worked on at the same time; 1 if not set.
	Workers int
	// Kinds are what the plans write.
	Kinds []Resource
	// Sources wake it.
	Sources []Source
	// Feed, if set, wakes it too: for a loop whose sources are not known beforehand. It is called when the loop starts, and
	// no plan is made before it returns.
	Feed func(ctx context.Context, add func(Key)) error
	// Observe reads the state for a key; false means that there is nothing to plan for. last is why the last
	// plan for the key was not done to its end, nil if it was.
	Observe func(ctx context.Context, key Key, last *Failure) (S, bool, error)
	// Plan decides.
	Plan func(state S, now time.Time) Plan

	queue    workqueue.TypedRateLimitingInterface[Key]
	recorder record.EventRecorder
	logger   *slog.Logger
	own      ownWrites
	failures sync.Map // Key → *Failure
}

// Back-off of a key that fails: from 5 ms, doubled each time. Upstream goes on to 17 minutes; someone who sits before
// the cluster and has just repaired the cause is not made to wait that long here.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Minute
)

// Run starts the informers, waits for them, and works until the context ends.
func (l *Loop[S]) Run(ctx context.Context) error {
	l.logger = l.log(l.Name)
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[Key](firstRetry, lastRetry)
	queue, forget := l.Queues.queue(cmp.Or(l.Queue, l.Name), limiter)
	defer forget()
	l.queue = queue
	defer l.queue.ShutDown()
	recorder, stop := Events(l.Client, l.Name)
	defer stop()
	l.recorder = recorder

	synced, unwatch, err := watchAll(l.Sources, l.queue.Add)
	if err != nil {
		return fmt.Errorf("%s: watch: %w", l.Name, err)
	}
	defer unwatch()
	l.Informers.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	if l.Feed != nil {
		if err := l.Feed(ctx, l.queue.Add); err != nil {
			return fmt.Errorf("%s: feed: %w", l.Name, err)
		}
	}
	l.work(ctx)
	return nil
}

// work runs the workers until the context ends, and waits for what they are at.
func (l *Loop[S]) work(ctx context.Context) {
	var workers sync.WaitGroup
	for range max(l.Workers, 1) {
		workers.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	workers.Wait()
}

// next does one key's turn; false when the queue is closed.
func (l *Loop[S]) next(ctx context.Context) bool {
	key, closed := l.queue.Get()
	if closed {
		return false
	}
	defer l.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}
	if err := l.turn(ctx, key); err != nil {
		l.report(key, err)
		l.queue.AddRateLimited(key)
		return true
	}
	l.queue.Forget(key)
	return true
}

// report logs a failed turn. Conflicts are the normal course when others write the same objects.
func (l *Loop[S]) report(key Key, err error) {
	level := slog.LevelWarn
	if apierrors.IsConflict(err) {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "turn failed, will try again", "key", key.String(), "err", err, "retries", l.queue.NumRequeues(key))
}

// turn is observe, plan, apply for one key. Panics come back as errors.
func (l *Loop[S]) turn(ctx context.Context, key Key) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.History.count(l.Name, func(c *Counts) { c.Panics++ })
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if what := l.own.unseen(key); what != "" {
		l.History.count(l.Name, func(c *Counts) { c.Waits++ })
		l.queue.AddAfter(key, time.Second)
		return nil
	}
	last, _ := l.failures.Load(key)
	failure, _ := last.(*Failure)
	state, found, err := l.Observe(ctx, key, failure)
	if err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	if !found {
		l.failures.Delete(key)
		return nil
	}
	return l.apply(ctx, key, l.Plan(state, time.Now()))
}

// apply does the plan, remembers its failure and writes it down.
func (l *Loop[S]) apply(ctx context.Context, key Key, p Plan) error {
	start := time.Now()
	a := applier{kinds: l.Kinds, recorder: l.recorder, note: func(w write) { l.own.note(key, w) }}
	steps, failure := a.apply(ctx, p)
	for _, action := range p {
		if action.Verb == Wait {
			l.queue.AddAfter(key, action.After)
		}
	}
	l.History.add(Record{Loop: l.Name, Key: key, At: start, Took: time.Since(start), Seen: l.version(key), Steps: steps})
	if failure == nil {
		l.failures.Delete(key)
		return nil
	}
	l.failures.Store(key, failure)
	return fmt.Errorf("%s %s: %w", failure.Action.Verb, failure.Action.Target(), failure.Err)
}

// version is that of the key's object as the plan saw it, if the first kind is the one that keys name.
func (l *Loop[S]) version(key Key) string {
	if len(l.Kinds) == 0 || l.Kinds[0].Informer() == nil {
		return ""
	}
	o, found := cached(l.Kinds[0].Informer(), key)
	if !found {
		return ""
	}
	return o.GetResourceVersion()
}
