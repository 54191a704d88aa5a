package apiserver

import (
	"context"
	"time"
)

// A flush costs some 50 µs of processor time, half of it on the client's side, however little it carries: goroutines wake, frames and records
// are made, the kernel is entered, and all that once more where it is read. A watch that flushes each change by itself is what
// a client wants to have, and a hundred such watches cost more than the writes that they tell of.
//
// So the more watches there are of the same objects, the longer each of them waits behind a flush for what else happens and goes with
// the next: five times as long as all of them need for a flush. They wait equally long, and so together: what they
// then write is read from memory once. What happens after a quiet time is told at once, and where few watch nobody ever waits.
//
// With 100 watches of all pods on two processors that made half as many events again as without any waiting; twice as long a wait made
// fewer again.
const (
	gatherEach = 250 * time.Microsecond
	gatherMost = 25 * time.Millisecond
	// gatherFrom is how many watches there have to be. Below it the wait is shorter than what timers are good for.
	gatherFrom = 10
	// gathered is how many events are many enough already: the watch is behind, or begins.
	gathered = 64
)

// gatherTime is how long the watch w, which has just flushed some events, is to wait.
func (s *Server) gatherTime(w *watching, events int) time.Duration {
	if w.narrow || events >= gathered { // narrow watches are told of little, each of something else
		return 0
	}
	n := s.watches.interested(w.row, w.namespace)
	if n < gatherFrom {
		return 0
	}
	return min(time.Duration(n)*gatherEach, gatherMost)
}

// pause is a timer that is made when it is first needed.
type pause struct{ timer *time.Timer }

// take lets d pass, or less if ctx ends.
func (p *pause) take(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
	select {
	case <-p.timer.C:
	case <-ctx.Done():
	}
}
