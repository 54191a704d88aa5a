package store

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// futureWait is how long a read waits for a revision that a client names. Upstream waits as long.
const futureWait = 3 * time.Second

// Revision implements API.
func (s *Store) Revision() int64 { return s.rev.Load() }

// Get implements API.
func (s *Store) Get(ctx context.Context, key string, at ReadAt) (*Object, error) {
	if err := s.ready(ctx, at); err != nil {
		return nil, err
	}
	s.mu.RLock()
	o, rev := s.image.get(key), s.image.rev
	s.mu.RUnlock()
	if at.Kind == Exact && rev != at.Rev && (o == nil || o.Rev > at.Rev) {
		return s.getPast(ctx, key, at.Rev)
	}
	if o == nil {
		return nil, ErrNotFound
	}
	return o, nil
}

// List implements API.
func (s *Store) List(ctx context.Context, prefix string, at ReadAt, o ListOptions) (*Page, error) {
	began := time.Now()
	if err := s.ready(ctx, at); err != nil {
		return nil, err
	}
	waited := time.Since(began)
	shot := s.snapshot(at)
	if shot == nil {
		return s.listPast(ctx, prefix, at.Rev, o)
	}
	p := shot.page(prefix, o)
	p.Waited = waited
	if p.More {
		s.kept.put(shot, time.Now())
	}
	return p, nil
}

// snapshot returns the state that at asks for, or nil if only etcd may still have it.
func (s *Store) snapshot(at ReadAt) *snapshot {
	if at.Kind == Exact {
		if shot := s.kept.get(at.Rev, time.Now()); shot != nil {
			return shot
		}
	}
	s.mu.RLock()
	shot, rev := s.image.shot, s.image.rev
	s.mu.RUnlock()
	if shot == nil && (at.Kind != Exact || rev == at.Rev) {
		s.mu.Lock()
		shot = s.image.snapshot()
		s.mu.Unlock()
	}
	if shot != nil && at.Kind == Exact && shot.rev != at.Rev {
		return nil
	}
	return shot
}

// ready returns when the image is new enough for at.
func (s *Store) ready(ctx context.Context, at ReadAt) error {
	if err := s.Err(); err != nil {
		return err
	}
	switch at.Kind {
	case Any:
		return nil
	case Newest:
		rev, err := s.Newest(ctx)
		if err != nil {
			return err
		}
		return s.Wait(ctx, rev)
	default:
		return s.waitFor(ctx, at.Rev)
	}
}

// waitFor waits for a revision that may never come, since a client made it up.
func (s *Store) waitFor(ctx context.Context, rev int64) error {
	if s.Revision() >= rev {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, futureWait)
	defer cancel()
	err := s.Wait(short, rev)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &TooLargeError{Asked: rev, Current: s.Revision()}
	}
	return err
}

// getPast reads one key from etcd as it was at rev.
func (s *Store) getPast(ctx context.Context, key string, rev int64) (*Object, error) {
	p, err := s.listPast(ctx, key, rev, ListOptions{})
	if err != nil {
		return nil, err
	}
	if isDir(key) || len(p.Objects) == 0 {
		return nil, ErrNotFound
	}
	return p.Objects[0], nil
}

// listPast reads a page from etcd as it was at rev.
func (s *Store) listPast(ctx context.Context, prefix string, rev int64, o ListOptions) (*Page, error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	p := &Page{Rev: rev, Past: true}
	from, to := span(prefix, o.After)
	for more := true; more && !p.More; {
		resp, err := s.client.Get(ctx, from, clientv3.WithRange(to), clientv3.WithRev(rev), clientv3.WithLimit(loadPage))
		if err != nil {
			return nil, s.explain(ctx, err)
		}
		for i, kv := range resp.Kvs {
			p.Looked++
			obj := s.past(kv)
			if !o.Term.admits(obj) || o.Match != nil && !o.Match(obj) {
				continue
			}
			if o.Limit != 0 && len(p.Objects) == o.Limit {
				p.More, p.Remaining = true, resp.Count-int64(i)
				break
			}
			p.Objects = append(p.Objects, obj)
		}
		if more = resp.More; more {
			from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		}
	}
	if p.More && (o.Term != nil || o.Match != nil) {
		p.Remaining = -1
	}
	return p, nil
}

// explain names etcd's errors as this package does.
func (s *Store) explain(ctx context.Context, err error) error {
	switch {
	case s.Err() != nil:
		return s.Err()
	case errors.Is(err, rpctypes.ErrCompacted):
		return ErrTooOld
	case errors.Is(err, rpctypes.ErrFutureRev):
		return &TooLargeError{Current: s.Revision()}
	case errors.Is(err, rpctypes.ErrNoSpace):
		return ErrNoSpace
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return ErrRequestTooLarge
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}
