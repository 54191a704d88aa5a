package store

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// Watch implements API.
func (s *Store) Watch(ctx context.Context, o WatchOptions) (*Watcher, error) {
	if o.Initial != nil {
		if err := s.ready(ctx, *o.Initial); err != nil {
			return nil, err
		}
	}
	w := newWatcher(s, o)
	gap, err := s.register(w)
	if err != nil {
		return nil, err
	}
	if gap > 0 {
		if w.backlog, err = s.replay(ctx, o.Prefix, o.After, gap); err != nil {
			s.unregister(w)
			return nil, fmt.Errorf("resume watch after revision %d: %w", o.After, err)
		}
	}
	w.endWith(ctx)
	return w, nil
}

// register adds w to the hub, in one step with taking what comes before: the state at this revision, or the changes
// up to it. If the history does not reach back far enough, gap is the revision up to which etcd has to be asked.
func (s *Store) register(w *Watcher) (gap int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Err(); err != nil {
		return 0, err
	}
	if w.opts.Initial != nil {
		w.state = s.image.snapshot()
	} else if changes, known := s.history.after(w.opts.After); known {
		w.backlog = changes
	} else {
		gap = s.image.rev
	}
	s.hub.add(w)
	return gap, nil
}

func (s *Store) unregister(w *Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.remove(w)
}

// replayMax bounds what a watch may be behind to be resumed at all.
const replayMax = 1 << 17

// replay asks etcd for the changes to prefix after the revision after, up to the revision to.
func (s *Store) replay(ctx context.Context, prefix string, after, to int64) ([]*change, error) {
	ctx, cancel := s.until(ctx)
	defer cancel()
	// A stream of its own: a progress answer is for all watches of a stream, and waits for the slowest.
	ctx = metadata.AppendToOutgoingContext(ctx, "purpose", "replay")
	opts := []clientv3.OpOption{clientv3.WithRev(after + 1), clientv3.WithPrevKV()}
	if isDir(prefix) {
		opts = append(opts, clientv3.WithPrefix())
	}
	ask := time.NewTicker(progressFirst)
	defer ask.Stop()
	responses := s.client.Watch(ctx, prefix, opts...)
	var out []*change
	for {
		select {
		case resp, ok := <-responses:
			if !ok || resp.Err() != nil {
				return nil, s.replayError(ctx, resp)
			}
			for _, e := range resp.Events {
				if e.Kv.ModRevision > to {
					return out, nil
				}
				c, err := s.pastChange(e)
				if err != nil {
					return nil, err
				}
				out = append(out, c)
			}
			if resp.IsProgressNotify() && resp.Header.Revision >= to {
				return out, nil
			}
			if len(out) > replayMax {
				return nil, ErrTooOld
			}
		case <-ask.C:
			ask.Reset(progressMax)
			if err := s.client.RequestProgress(ctx); err != nil {
				return nil, s.explain(ctx, err)
			}
		}
	}
}

func (s *Store) replayError(ctx context.Context, resp clientv3.WatchResponse) error {
	switch {
	case resp.CompactRevision != 0:
		return ErrTooOld
	case resp.Err() != nil:
		return s.explain(ctx, resp.Err())
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return errStream
}

// pastChange makes a change of what etcd tells of it. Compaction keeps the last version of each key, so what was before
// is there, except when the watch begins at the very revision of the compaction.
func (s *Store) pastChange(e *clientv3.Event) (*change, error) {
	if e.PrevKv == nil && !e.IsCreate() {
		return nil, ErrTooOld
	}
	c := &change{rev: e.Kv.ModRevision}
	if e.PrevKv != nil {
		c.old = s.past(e.PrevKv)
	}
	if e.Type == mvccpb.PUT {
		c.new = s.past(e.Kv)
	}
	return c, nil
}
