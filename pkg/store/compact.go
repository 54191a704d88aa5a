package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// Compact makes etcd and the history forget what was before rev. The state at rev and all that follows stay readable.
func (s *Store) Compact(ctx context.Context, rev int64) error {
	s.mu.Lock()
	s.history.forget(rev)
	s.mu.Unlock()
	s.kept.forget(rev)
	_, err := s.client.Compact(ctx, rev)
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("compact at revision %d: %w", rev, s.explain(ctx, err))
	}
	return nil
}

// compactLoop compacts every CompactEvery at the revision of one period ago, so that between one and two periods
// can be read and resumed. Several servers on one etcd may all do so: they aim at about the same revision,
// and compacting twice is harmless. After a start nothing is known of the past, so the first period compacts nothing.
func (s *Store) compactLoop() {
	if s.cfg.CompactEvery < 0 {
		return
	}
	tick := time.NewTicker(s.cfg.CompactEvery)
	defer tick.Stop()
	done, next := int64(0), s.Revision()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if next > done {
			if err := s.Compact(s.ctx, next); err == nil {
				done = next
			} else if s.ctx.Err() == nil {
				s.cfg.Logger.Warn("compaction failed; trying again in a while", "err", err)
			}
		}
		next = s.Revision()
	}
}
