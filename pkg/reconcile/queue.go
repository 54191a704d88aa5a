package reconcile

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
)

// Queues counts what the queues of all loops in a process do, by the names that dashboards know from client-go (workqueue_*). Make it with
// NewQueues, give it to the loops in their Env, and show it on whatever /metrics the process has.
//
// client-go's queues count themselves only with a clock that ticks twice a second for each queue, to keep the ages of unfinished work
// new. Here ages are worked out when somebody asks, so that an idle process stays idle.
type Queues struct {
	adds, retries *prometheus.CounterVec
	waits, works  *prometheus.HistogramVec

	mu      sync.Mutex
	tallies []*tally
}

var (
	depthDesc   = prometheus.NewDesc("workqueue_depth", "Keys that wait in a queue.", []string{"name"}, nil)
	busyDesc    = prometheus.NewDesc("workqueue_unfinished_work_seconds", "For how long the keys now worked on have been, together.", []string{"name"}, nil)
	longestDesc = prometheus.NewDesc("workqueue_longest_running_processor_seconds", "For how long the longest of them has been.", []string{"name"}, nil)
)

// NewQueues returns counts of no queue yet.
func NewQueues() *Queues {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "workqueue_" + name, Help: help}, []string{"name"})
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "workqueue_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(10e-9, 10, 10)}, []string{"name"})
	}
	return &Queues{
		adds:    counter("adds_total", "Keys that were put into a queue."),
		retries: counter("retries_total", "Keys that were put off."),
		waits:   histogram("queue_duration_seconds", "How long keys waited in a queue."),
		works:   histogram("work_duration_seconds", "How long keys were worked on."),
	}
}

// queue returns a queue that counts itself, and a function that ends the counting. With no Queues it is a plain one.
func (q *Queues) queue(name string, limiter workqueue.TypedRateLimiter[Key]) (workqueue.TypedRateLimitingInterface[Key], func()) {
	if q == nil {
		return workqueue.NewTypedRateLimitingQueue(limiter), func() {}
	}
	t := &tally{
		name: name, adds: q.adds.WithLabelValues(name), retries: q.retries.WithLabelValues(name),
		waits: q.waits.WithLabelValues(name), works: q.works.WithLabelValues(name),
		waiting: map[Key]time.Time{}, working: map[Key]time.Time{},
	}
	q.mu.Lock()
	q.tallies = append(q.tallies, t)
	q.mu.Unlock()
	line := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[Key]{Queue: &countedLine{tally: t}})
	later := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[Key]{Queue: countedQueue{line, t}})
	counted := workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[Key]{DelayingQueue: countedLater{later, t}})
	return counted, func() { q.drop(t) }
}

func (q *Queues) drop(t *tally) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tallies = slices.DeleteFunc(q.tallies, func(o *tally) bool { return o == t })
}

// Describe implements prometheus.Collector.
func (q *Queues) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range q.vectors() {
		c.Describe(ch)
	}
	for _, desc := range []*prometheus.Desc{depthDesc, busyDesc, longestDesc} {
		ch <- desc
	}
}

func (q *Queues) vectors() []prometheus.Collector {
	return []prometheus.Collector{q.adds, q.retries, q.waits, q.works}
}

// Collect implements prometheus.Collector.
func (q *Queues) Collect(ch chan<- prometheus.Metric) {
	for _, c := range q.vectors() {
		c.Collect(ch)
	}
	for name, s := range q.states(time.Now()) {
		for desc, v := range map[*prometheus.Desc]float64{depthDesc: float64(s.depth), busyDesc: s.busy.Seconds(), longestDesc: s.longest.Seconds()} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, name)
		}
	}
}

// queueState is how it is with the queues of one name.
type queueState struct {
	depth         int
	busy, longest time.Duration
}

func (q *Queues) states(now time.Time) map[string]queueState {
	q.mu.Lock()
	tallies := slices.Clone(q.tallies)
	q.mu.Unlock()
	all := map[string]queueState{}
	for _, t := range tallies {
		s := all[t.name]
		t.mu.Lock()
		s.depth += len(t.waiting)
		for began := range maps.Values(t.working) {
			s.busy += now.Sub(began)
			s.longest = max(s.longest, now.Sub(began))
		}
		t.mu.Unlock()
		all[t.name] = s
	}
	return all
}

// tally is what is counted of one queue.
type tally struct {
	name          string
	adds, retries prometheus.Counter
	waits, works  prometheus.Observer

	mu               sync.Mutex
	waiting, working map[Key]time.Time // since when
}

// wait notes that a key waits from now on, if it did not before.
func (t *tally) wait(key Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.waiting[key]; !ok {
		t.waiting[key] = time.Now()
		t.adds.Inc()
	}
}

func (t *tally) start(key Key) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waits.Observe(now.Sub(t.waiting[key]).Seconds())
	delete(t.waiting, key)
	t.working[key] = now
}

func (t *tally) done(key Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if began, ok := t.working[key]; ok {
		t.works.Observe(time.Since(began).Seconds())
		delete(t.working, key)
	}
}

// countedLine is the order of the keys in a queue. The queue calls it under its lock, so that a key which comes at the moment when it is
// taken is counted as what it is.
type countedLine struct {
	*tally
	keys []Key
}

func (l *countedLine) Touch(Key) {}
func (l *countedLine) Len() int  { return len(l.keys) }

func (l *countedLine) Push(key Key) {
	l.wait(key)
	l.keys = append(l.keys, key)
}

func (l *countedLine) Pop() Key {
	key := l.keys[0]
	l.keys[0] = Key{}
	l.keys = l.keys[1:]
	l.start(key)
	return key
}

// countedQueue counts what the order does not show: a key that comes while it is worked on waits from then on, and when that work is done.
type countedQueue struct {
	workqueue.TypedInterface[Key]
	*tally
}

func (q countedQueue) Add(key Key) {
	if !q.ShuttingDown() {
		q.wait(key)
	}
	q.TypedInterface.Add(key)
}

func (q countedQueue) Done(key Key) {
	q.done(key)
	q.TypedInterface.Done(key)
}

// countedLater counts what is put off, after a failure or because a plan says so.
type countedLater struct {
	workqueue.TypedDelayingInterface[Key]
	*tally
}

func (q countedLater) AddAfter(key Key, d time.Duration) {
	if !q.ShuttingDown() {
		q.retries.Inc()
	}
	q.TypedDelayingInterface.AddAfter(key, d)
}
