package store

import (
	"context"
	"sync"
)

// gate makes groups of commits that come at the same time. etcd syncs its log for whatever has been proposed when it is done
// with the last sync; proposals that trickle in one by one are synced one by one, and each answer wakes its client by itself.
// The gate holds back whoever comes while a group is being written, and then lets all of them go as the next group. A
// single writer never waits; many wait for one group besides their own, and all share its sync.
type gate struct {
	mu      sync.Mutex
	writing int           // of the present group, those not done yet
	next    chan struct{} // closed when the next group may go; nil if nobody waits
	waiting int
}

// enter returns when the caller is of the present group, or when ctx ends.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.writing == 0 {
		g.writing = 1
		g.mu.Unlock()
		return nil
	}
	if g.next == nil {
		g.next = make(chan struct{})
	}
	next := g.next
	g.waiting++
	g.mu.Unlock()
	select {
	case <-next:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next != next { // it went a moment ago, with us counted in
		g.done()
	} else {
		g.waiting--
	}
	return ctx.Err()
}

// leave ends the caller's part in its group.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done()
}

// done counts one out, and lets the next group go behind the last. Its callers hold mu.
func (g *gate) done() {
	if g.writing--; g.writing > 0 || g.next == nil {
		return
	}
	g.writing, g.waiting = g.waiting, 0
	close(g.next)
	g.next = nil
}
