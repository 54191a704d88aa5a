package store

import (
	"context"
	"fmt"
	"runtime"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
)

// loadPage is how many keys are read from etcd at once. Reading the next page and extracting from the last ones go
// on side by side.
const loadPage = 1000

// load replaces the image by what etcd has now and returns the revision. Watchers cannot be told what happened in
// between: they end with ErrTooOld.
func (s *Store) load(ctx context.Context) (int64, error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	pages, rev, err := s.readAll(ctx)
	if err != nil {
		return 0, err
	}
	im := newImage(s.cfg.Prefix, s.cfg.Indexed)
	for _, page := range pages {
		for _, o := range page {
			im.put(o)
		}
	}
	im.rev = rev

	s.mu.Lock()
	im.goOn(s.image)
	s.image = im
	s.history.reset(rev)
	s.hub.failAll(ErrTooOld)
	s.rev.Store(rev)
	s.mu.Unlock()
	s.drafts.forget(rev)
	s.waiters.reached(rev)
	return rev, nil
}

// readAll reads the whole prefix at one revision.
func (s *Store) readAll(ctx context.Context) (pages [][]*Object, rev int64, err error) {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0) + 1)
	from, end := s.cfg.Prefix, clientv3.GetPrefixRangeEnd(s.cfg.Prefix)
	for more := true; more; {
		resp, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(loadPage), clientv3.WithRev(rev))
		if err != nil {
			return nil, 0, fmt.Errorf("read from %s on: %w", from, s.explain(ctx, err))
		}
		if more = resp.More; rev == 0 {
			rev = resp.Header.Revision
		}
		page := make([]*Object, len(resp.Kvs))
		pages = append(pages, page)
		work.Go(func() error {
			for i, kv := range resp.Kvs {
				page[i] = s.object(kv)
			}
			return nil
		})
		if more {
			from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		}
	}
	return pages, rev, work.Wait()
}

// object makes an Object of what etcd holds. One that Extract refuses is kept without Attrs.
func (s *Store) object(kv *mvccpb.KeyValue) *Object {
	o := &Object{Key: string(kv.Key), Rev: kv.ModRevision, Value: kv.Value, cache: s.forms}
	value, stale, err := s.fromStorage(o.Key, kv.Value)
	if err != nil {
		s.cfg.Logger.Error("a stored value cannot be transformed; it is kept as it is, without labels and fields",
			"key", o.Key, "revision", o.Rev, "err", err)
		o.flaw = &flaw{err: fmt.Errorf("unable to transform key %q: %w", o.Key, err)}
		return o
	}
	if o.Value = value; stale {
		o.flaw = isStale
	}
	a, err := s.cfg.Extract(o.Key, o.Value)
	if err != nil {
		s.cfg.Logger.Error("a stored value cannot be read; it is served without labels and fields, delete or replace it",
			"key", o.Key, "revision", o.Rev, "err", err)
		return o
	}
	o.Attrs = s.intern.attrs(o.Key, a)
	return o
}
