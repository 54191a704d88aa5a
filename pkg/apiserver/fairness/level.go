package fairness

import (
	"context"
	"sync"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// level is a PriorityLevelConfiguration at work. It lives as long as its name is configured, and longer while something is in it.
type level struct {
	name  string
	retry retry

	mu       sync.Mutex
	uid      []string
	spec     *flowcontrolv1.PriorityLevelConfigurationSpec
	set      queueSet
	demand   demand
	bounds   bounds
	seen     wanted
	smoothed float64
	widest   int

	dispatched, rejected, timedOut, cancelled int64
	tickets                                   []*ticket // those in it, for people to look at
}

func newLevel(name string) *level {
	return &level{name: name, set: queueSet{queues: map[int]*queue{}}}
}

// configure gives the level what its object says, and seats.
func (l *level) configure(uid string, spec *flowcontrolv1.PriorityLevelConfigurationSpec, b bounds, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uid, l.spec, l.bounds, l.widest = []string{uid}, spec, b, 0
	l.set.shape = shape{exempt: spec.Type == flowcontrolv1.PriorityLevelEnablementExempt}
	if spec.Limited != nil && spec.Limited.LimitResponse.Queuing != nil {
		q := spec.Limited.LimitResponse.Queuing
		l.set.shape = shape{queues: int(q.Queues), hand: int(q.HandSize), length: int(q.QueueLengthLimit)}
		l.widest = widest(b.nominal, int(q.HandSize))
	}
	if l.set.at.IsZero() { // new: lend half of what it may, until its need is known
		l.set.at = now
		l.resize(b.nominal-(b.nominal-b.low)/2, now)
	}
}

// resize changes the number of seats. The caller has the lock.
func (l *level) resize(limit int, now time.Time) {
	l.set.pass(now)
	l.set.limit = limit
	l.set.dispatch(now)
}

// enter takes t in; false turns it away.
func (l *level) enter(t *ticket, hash uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.set.arrive(t, hash, now) {
		l.rejected++
		return false
	}
	t.slot = len(l.tickets)
	l.tickets = append(l.tickets, t)
	if t.turn == nil {
		l.dispatched++
	}
	l.demand.set(l.set.taken+l.set.wanted, now)
	return true
}

// leave gives t's place back.
func (l *level) leave(t *ticket, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(t)
	l.set.end(t, now)
	l.demand.set(l.set.taken+l.set.wanted, now)
}

// forget takes t out of tickets, and moves the last into its place.
func (l *level) forget(t *ticket) {
	last := len(l.tickets) - 1
	l.tickets[t.slot] = l.tickets[last]
	l.tickets[t.slot].slot = t.slot
	l.tickets[last] = nil
	l.tickets = l.tickets[:last]
}

// await returns when it is t's turn, or why it will not be.
func (l *level) await(ctx context.Context, t *ticket, wait time.Duration, now func() time.Time) (reason string) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-t.turn:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dispatched++
		return ""
	case <-timer.C:
		reason = "time-out"
	case <-ctx.Done():
		reason = "cancelled"
	}
	return l.giveUp(t, reason, now())
}

// giveUp takes t out of its queue, unless its turn has come at the same moment.
func (l *level) giveUp(t *ticket, reason string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.set.abandon(t, now) {
		l.dispatched++
		return ""
	}
	l.forget(t)
	l.demand.set(l.set.taken+l.set.wanted, now)
	if reason == "time-out" {
		l.timedOut++
	} else {
		l.cancelled++
	}
	return reason
}

// look ends a period of observation, and returns what the level needs.
func (l *level) look(now time.Time) need {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = l.demand.take(now)
	l.smoothed = smooth(l.smoothed, l.seen)
	return need{bounds: l.bounds, exempt: l.set.exempt, high: l.seen.high, smoothed: l.smoothed}
}

// waits tells whether the level has queues.
func (l *level) waits() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.shape.queues > 0
}
