package store

import (
	"context"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// shared lets concurrent callers of a read share it. A caller may not join a read that began before it arrived: what
// was acknowledged in between could be missing. So there is at most one read under way and one that is about to
// follow, which everyone joins who comes meanwhile.
type shared struct {
	mu      sync.Mutex
	running bool
	next    *sharedRead
}

type sharedRead struct {
	done chan struct{}
	rev  int64
	err  error
}

// join returns the read to wait for, and whether the caller has to start run.
func (s *shared) join() (*sharedRead, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &sharedRead{done: make(chan struct{})}
	}
	start := !s.running
	s.running = true
	return s.next, start
}

// run reads for as long as there is someone to read for.
func (s *shared) run(read func() (int64, error)) {
	for {
		s.mu.Lock()
		r := s.next
		s.next, s.running = nil, r != nil
		s.mu.Unlock()
		if r == nil {
			return
		}
		r.rev, r.err = read()
		close(r.done)
	}
}

// Newest implements API.
func (s *Store) Newest(ctx context.Context) (int64, error) {
	if err := s.Err(); err != nil {
		return 0, err
	}
	r, start := s.newest.join()
	if start {
		go s.newest.run(s.readRevision)
	}
	select {
	case <-r.done:
		return r.rev, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// readRevision is a linearizable read of a key that cannot exist: its header carries the revision. One lower than
// the image's means that etcd was set back under our feet. The image would then wait for revisions that
// have other contents when they come, so it is loaded afresh.
func (s *Store) readRevision() (int64, error) {
	image := s.Revision()
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	resp, err := s.client.Get(ctx, s.cfg.Prefix, clientv3.WithCountOnly())
	if err != nil {
		return 0, s.explain(ctx, err)
	}
	if resp.Header.Revision < image {
		if giveUp := s.giveUp.Load(); giveUp != nil {
			(*giveUp)(errRestored)
		}
		return 0, errRestored
	}
	return resp.Header.Revision, nil
}

// waiters are those who wait for the image to reach a revision.
type waiters struct {
	mu   sync.Mutex
	list []waiter
	kick chan struct{} // tells progressLoop that there is someone
}

type waiter struct {
	rev  int64
	done chan struct{}
}

// Wait implements API.
func (s *Store) Wait(ctx context.Context, rev int64) error {
	if s.Revision() >= rev {
		return nil
	}
	w := waiter{rev, make(chan struct{})}
	s.waiters.add(w)
	defer s.waiters.remove(w)
	if s.Revision() >= rev { // reached before add
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.Err()
	}
}

func (w *waiters) add(x waiter) {
	w.mu.Lock()
	w.list = append(w.list, x)
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *waiters) remove(x waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = slices.DeleteFunc(w.list, func(y waiter) bool { return y == x })
}

// reached wakes all who wait for rev or less.
func (w *waiters) reached(rev int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = slices.DeleteFunc(w.list, func(x waiter) bool {
		if x.rev <= rev {
			close(x.done)
		}
		return x.rev <= rev
	})
}

func (w *waiters) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.list) > 0
}

// Pauses between progress requests: the first is long enough for the event of a write that is on its way, so that
// the usual case asks for nothing.
const (
	progressFirst = 2 * time.Millisecond
	progressMax   = 100 * time.Millisecond
)

// progressLoop sees to it that Wait ends. etcd's revision also moves when a key outside of the prefix is written,
// of which the watch hears nothing; so while someone waits, etcd is asked to say how far the watch has come. It
// answers only if the watch is not behind, hence again and again. While nobody waits this does nothing.
func (s *Store) progressLoop() {
	for {
		select {
		case <-s.waiters.kick:
			s.askProgress()
		case <-s.ctx.Done():
			return
		}
	}
}

// askProgress asks until nobody waits, less and less often, and at once often again when someone new comes.
func (s *Store) askProgress() {
	pause := progressFirst
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for s.waiters.any() {
		select {
		case <-timer.C:
			if err := s.source.progress(s.ctx); err != nil && s.ctx.Err() == nil {
				s.cfg.Logger.Warn("progress request failed; trying again", "err", err)
			}
			pause = min(2*pause, progressMax)
			timer.Reset(pause)
		case <-s.waiters.kick:
			if pause > progressFirst {
				pause = progressFirst
				timer.Reset(pause)
			}
		case <-s.ctx.Done():
			return
		}
	}
}
