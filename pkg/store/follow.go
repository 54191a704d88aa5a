package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// follow keeps the image up to date with etcd until the store closes. The image is at rev. When etcd can no
// longer say what happened since (it was compacted meanwhile, or restored), the image is loaded afresh.
func (s *Store) follow(rev int64) {
	for s.ctx.Err() == nil {
		err := s.followFrom(rev + 1)
		if s.ctx.Err() != nil {
			return
		}
		rev = s.Revision()
		s.cfg.Logger.Warn("watch of etcd ended; resuming", "revision", rev, "err", err)
		if errors.Is(err, errGap) {
			rev = s.reload()
		} else {
			s.pause(time.Second)
		}
	}
}

var (
	errGap      = errors.New("store: etcd no longer has the changes that follow the image")
	errRestored = fmt.Errorf("%w: its revision is lower than the image's, as after a restore of a backup", errGap)
	errStream   = errors.New("store: etcd closed the watch")
)

// followFrom applies what happens from rev on, until the watch ends or giveUp is called.
func (s *Store) followFrom(rev int64) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.giveUp.Store(&cancel)
	err := s.source.watch(ctx, rev, func(events []*mvccpb.Event, rev int64) { s.advance(s.changes(events), rev) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *Store) reload() int64 {
	for {
		rev, err := s.load(s.ctx)
		if err == nil || s.ctx.Err() != nil {
			return rev
		}
		s.cfg.Logger.Error("reload of the image failed; trying again", "err", err)
		s.pause(time.Second)
	}
}

func (s *Store) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// changes makes objects of events, outside of any lock.
func (s *Store) changes(events []*mvccpb.Event) []*change {
	out := make([]*change, len(events))
	for i, e := range events {
		out[i] = &change{rev: e.Kv.ModRevision}
		if e.Type == mvccpb.DELETE {
			out[i].old = &Object{Key: string(e.Kv.Key)} // advance puts the real one in its place
			continue
		}
		if out[i].new = s.drafts.publish(e.Kv); out[i].new == nil {
			out[i].new = s.object(e.Kv)
		}
	}
	return out
}

// advance moves the image to rev, by changes that are in order and belong to revisions up to rev.
func (s *Store) advance(changes []*change, rev int64) {
	s.mu.Lock()
	if rev <= s.image.rev {
		s.mu.Unlock()
		return
	}
	for _, c := range changes {
		if c.new == nil {
			c.old = s.image.remove(c.old.Key)
		} else {
			c.old = s.image.put(c.new)
		}
		if c.old == nil && c.new == nil {
			continue
		}
		s.history.add(c)
		s.hub.route(c)
	}
	s.image.rev = rev
	s.image.shot = nil
	s.rev.Store(rev)
	woken := s.hub.flush()
	s.mu.Unlock()

	for _, w := range woken {
		w.rouse()
	}
	s.waiters.reached(rev)
}
