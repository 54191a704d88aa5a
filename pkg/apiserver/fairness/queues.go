package fairness

import (
	"slices"
	"time"
)

// guess is how long a request is thought to take while it runs; how long it took is charged when it ends.
const guess = 3 * time.Millisecond

// shape is how a level's requests wait.
type shape struct {
	exempt bool
	// queues is zero if nobody waits: who finds no seat is turned away.
	queues, hand, length int
}

// Work is what a request takes of its level: Seats while it is worked on and, if the events that it makes have many watchers, After
// seats for a while Longer.
type Work struct {
	Seats, After int
	Longer       time.Duration
}

// most is the seats that must be free before the request begins.
func (w Work) most() int { return max(w.Seats, w.After) }

// ticket is one request in a queueSet.
type ticket struct {
	work    Work
	queue   *queue // nil if the level has none
	arrived time.Time
	started time.Time
	// r is the virtual time of its arrival.
	r float64
	// turn is closed when a request that has to wait may go.
	turn chan struct{}
	from *schema
	who  *Request
	slot int // in its level's tickets
}

func (t *ticket) running() bool { return !t.started.IsZero() }

// queue is one of a level's queues, while something waits or runs in it.
type queue struct {
	index   int
	waiting []*ticket
	// running and seats are of those that have left for work and not ended.
	running, seats int
	// next is the virtual time at which the next of the queue starts.
	next float64
}

// queueSet is the seats of a level and who waits for them. Its methods neither wait nor read the clock; the caller has the lock.
//
// Invariants: 0 <= waiting, and nobody waits while the first in turn would find its seats; queues holds exactly those with something
// waiting or running.
type queueSet struct {
	shape
	limit  int // seats that may be taken at once
	taken  int // seats that are
	queues map[int]*queue
	free   []*queue // for reuse

	running, waiting int // requests
	wanted           int // seats of those waiting
	r                float64
	at               time.Time // when r was
	robin            int       // the queue that was last in turn
}

// pass brings virtual time up to now.
func (s *queueSet) pass(now time.Time) {
	if elapsed := now.Sub(s.at); elapsed > 0 {
		if n := len(s.queues); n > 0 {
			s.r += elapsed.Seconds() * float64(min(s.taken+s.wanted, s.limit)) / float64(n)
		}
		s.at = now
	}
}

// arrive takes t in. It runs at once, waits (then t.turn is not nil), or is turned away: false.
func (s *queueSet) arrive(t *ticket, hash uint64, now time.Time) bool {
	s.pass(now)
	t.arrived, t.r = now, s.r
	switch {
	case s.exempt:
		s.start(t, now)
		return true
	case s.shape.queues == 0:
		if !s.fits(t) {
			return false
		}
		s.start(t, now)
		return true
	}
	q := s.pick(hash)
	if len(q.waiting) >= s.length {
		s.release(q)
		return false
	}
	t.queue = q
	if s.waiting == 0 && s.fits(t) {
		s.start(t, now)
		return true
	}
	t.turn = make(chan struct{})
	q.waiting = append(q.waiting, t)
	s.waiting++
	s.wanted += t.work.most()
	s.dispatch(now)
	return true
}

// pick returns the queue of the flow's hand that has least in it, awake.
func (s *queueSet) pick(hash uint64) *queue {
	var room [maxHand]int
	best, least := -1, 0
	for _, i := range deal(hash, s.shape.queues, room[:min(s.hand, maxHand)]) {
		load := 0
		if q := s.queues[i]; q != nil {
			load = q.seats
			for _, t := range q.waiting {
				load += t.work.most()
			}
		}
		if best < 0 || load < least {
			best, least = i, load
		}
		if load == 0 {
			break
		}
	}
	return s.wake(best)
}

// wake returns the queue of that number, which begins at the present if it was idle.
func (s *queueSet) wake(i int) *queue {
	if q := s.queues[i]; q != nil {
		return q
	}
	var q *queue
	if n := len(s.free); n > 0 {
		q, s.free = s.free[n-1], s.free[:n-1]
	} else {
		q = &queue{}
	}
	q.index, q.next = i, s.r
	s.queues[i] = q
	return q
}

// release lets an idle queue go.
func (s *queueSet) release(q *queue) {
	if len(q.waiting) > 0 || q.running > 0 {
		return
	}
	delete(s.queues, q.index)
	q.waiting = q.waiting[:0]
	if len(s.free) < 256 {
		s.free = append(s.free, q)
	}
}

// fits tells whether t's seats are free. What is wider than all there are runs alone.
func (s *queueSet) fits(t *ticket) bool {
	need := t.work.most()
	return s.taken+need <= s.limit || need > s.limit && s.running == 0
}

// start lets t run.
func (s *queueSet) start(t *ticket, now time.Time) {
	t.started = now
	s.running++
	s.taken += t.work.most()
	if q := t.queue; q != nil {
		q.next = max(q.next, t.r) + charge(t.work, guess)
		q.running++
		q.seats += t.work.most()
	}
	if t.turn != nil {
		close(t.turn)
	}
}

// charge is the seat-seconds of work that takes so long.
func charge(w Work, took time.Duration) float64 {
	return float64(w.Seats)*took.Seconds() + float64(w.After)*w.Longer.Seconds()
}

// dispatch starts those whose turn it is for as long as there are seats. It stops at one that does not fit: if narrower ones
// overtook it, a wide one might never run.
func (s *queueSet) dispatch(now time.Time) {
	for s.waiting > 0 {
		q := s.inTurn()
		t := q.waiting[0]
		if !s.fits(t) {
			return
		}
		s.leave(q, 0)
		s.robin = q.index
		s.start(t, now)
	}
}

// inTurn returns the queue whose first request has the least virtual end; among equals, the next after the one that was last in turn.
func (s *queueSet) inTurn() *queue {
	var best *queue
	var least float64
	for _, q := range s.queues {
		if len(q.waiting) == 0 {
			continue
		}
		t := q.waiting[0]
		end := max(q.next, t.r) + charge(t.work, guess)
		if best == nil || end < least || end == least && s.distance(q) < s.distance(best) {
			best, least = q, end
		}
	}
	return best
}

// distance is how far q is after the queue that was last in turn.
func (s *queueSet) distance(q *queue) int {
	n := s.shape.queues
	return ((q.index-s.robin-1)%n + n) % n
}

// leave takes the i-th waiting out of q.
func (s *queueSet) leave(q *queue, i int) {
	s.waiting--
	s.wanted -= q.waiting[i].work.most()
	q.waiting = slices.Delete(q.waiting, i, i+1)
}

// abandon takes back a ticket that waits; false if it has been let go meanwhile.
func (s *queueSet) abandon(t *ticket, now time.Time) bool {
	if t.running() {
		return false
	}
	s.pass(now)
	s.leave(t.queue, slices.Index(t.queue.waiting, t))
	s.release(t.queue)
	s.dispatch(now)
	return true
}

// end gives t's seats back. It is called once, after t's Longer.
func (s *queueSet) end(t *ticket, now time.Time) {
	s.pass(now)
	s.running--
	s.taken -= t.work.most()
	if q := t.queue; q != nil {
		took := now.Sub(t.started) - t.work.Longer
		q.next += charge(t.work, took) - charge(t.work, guess)
		q.running--
		q.seats -= t.work.most()
		s.release(q)
	}
	s.dispatch(now)
}
