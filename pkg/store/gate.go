package store

import (
	"context"
	"sync"
	"time"
)

// gate makes groups of commits that come at about the same time.
//
// The naive way is to hand each commit to etcd as it comes. etcd syncs its log for whatever has been proposed when it is done with
// the last sync, so proposals that trickle in one by one are synced one by one; and each answer then wakes its client
// by itself, on a machine that is busy enough. With 64 writers that costs a third of all creates.
//
// The gate holds back whoever comes while a group is being written, and lets all of them go as the next group. A writer who is alone
// never waits. After a crowd the next group waits until there are enough, or for a moment: less than a create
// takes on a machine that has a crowd to serve.
//
//	open ──enter──► writing ──last leaves──► open      nobody waits
//	                   ▲  │                  writing   the next group goes at once
//	                   │  └──after a crowd──► gathering
//	                   └────enough, or time─────┘
type gate struct {
	mu      sync.Mutex
	writing int           // of the present group, those not done yet
	size    int           // of the present or, while gathering, the last group
	waiting int           // for the next group
	next    chan struct{} // closed when the next group goes; nil if nobody waits
	// gathering ends at a timer that carries its number, so that one that comes too late ends nothing.
	gathering bool
	round     int
}

const (
	crowd       = 4  // the least group after which the next one is waited for
	enough      = 24 // commits that need not wait for more
	gatherAtMax = 1500 * time.Microsecond
)

// enter returns when the caller is of the present group, or when ctx ends.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.writing == 0 && !g.gathering {
		g.writing, g.size = 1, 1
		g.mu.Unlock()
		return nil
	}
	if g.next == nil {
		g.next = make(chan struct{})
	}
	next := g.next
	if g.waiting++; g.gathering && g.waiting >= enough {
		g.release()
	}
	g.mu.Unlock()
	select {
	case <-next:
		return nil
	case <-ctx.Done():
		return g.giveUp(ctx, next)
	}
}

// giveUp takes out a caller who waited for next to close.
func (g *gate) giveUp(ctx context.Context, next chan struct{}) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == next {
		g.waiting--
	} else { // it closed a moment ago, with the caller counted in
		g.done()
	}
	return ctx.Err()
}

// leave ends the caller's part in its group.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done()
}

// done counts one out, and turns to the next group behind the last. Its callers hold mu, as those of release do.
func (g *gate) done() {
	if g.writing--; g.writing > 0 {
		return
	}
	if g.size < crowd || g.waiting >= enough {
		g.release()
		return
	}
	g.gathering = true
	g.round++
	round := g.round
	time.AfterFunc(gatherAtMax, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.gathering && g.round == round {
			g.release()
		}
	})
}

// release lets the next group go.
func (g *gate) release() {
	g.gathering = false
	g.writing, g.size, g.waiting = g.waiting, g.waiting, 0
	if g.next != nil {
		close(g.next)
		g.next = nil
	}
}
