package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases are what TTLs are made of. A lease costs etcd memory, a write when granted, and another when it expires;
// there are many events in a cluster, and none cares for the second. So objects of the same TTL that are written
// within a short time share one lease, whose own TTL is longer by that time.
type leases struct {
	mu    sync.Mutex
	byTTL map[time.Duration]*sharedLease
}

type sharedLease struct {
	granted chan struct{} // closed when id or err is known
	id      clientv3.LeaseID
	err     error
	until   time.Time // a later write needs another lease
	uses    int
}

// leaseUses bounds how many keys etcd has to delete at once when a lease expires; it is upstream's figure.
const leaseUses = 1000

// slack is how much longer than asked an object may live.
func slack(ttl time.Duration) time.Duration { return min(max(ttl/20, time.Second), time.Minute) }

// lease returns a lease that lasts for at least ttl.
func (s *Store) lease(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	l, first := s.leases.share(ttl, time.Now())
	if first {
		s.grant(l, ttl)
	}
	select {
	case <-l.granted:
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: lease of %v: %w", errUnsent, ttl, context.Cause(ctx))
	}
	if l.err != nil {
		s.leases.drop(l)
		return 0, fmt.Errorf("%w: lease of %v: %w", errUnsent, ttl, l.err)
	}
	return l.id, nil
}

// grant asks etcd for l, not on behalf of one caller: others wait for it too.
func (s *Store) grant(l *sharedLease, ttl time.Duration) {
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		defer close(l.granted)
		seconds := int64((ttl + slack(ttl) + time.Second - 1) / time.Second)
		resp, err := s.client.Grant(ctx, seconds)
		if err != nil {
			l.err = err
			return
		}
		l.id = resp.ID
	}()
}

func (ls *leases) share(ttl time.Duration, now time.Time) (l *sharedLease, first bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l = ls.byTTL[ttl]
	if l != nil && now.Before(l.until) && l.uses < leaseUses {
		l.uses++
		return l, false
	}
	ls.expire(now)
	l = &sharedLease{granted: make(chan struct{}), until: now.Add(slack(ttl)), uses: 1}
	ls.byTTL[ttl] = l
	return l, true
}

// expire forgets leases that nothing joins any more.
func (ls *leases) expire(now time.Time) {
	if ls.byTTL == nil {
		ls.byTTL = map[time.Duration]*sharedLease{}
	}
	for ttl, l := range ls.byTTL {
		if !now.Before(l.until) {
			delete(ls.byTTL, ttl)
		}
	}
}

func (ls *leases) drop(gone *sharedLease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for ttl, l := range ls.byTTL {
		if l == gone {
			delete(ls.byTTL, ttl)
		}
	}
}

// forget drops the leases with these ids: etcd does not know them any more.
func (ls *leases) forget(ids []clientv3.LeaseID) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for ttl, l := range ls.byTTL {
		select {
		case <-l.granted:
			if slices.Contains(ids, l.id) {
				delete(ls.byTTL, ttl)
			}
		default: // too young to be one of them
		}
	}
}
