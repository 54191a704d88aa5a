package store

import (
	"slices"
	"sync"
	"time"
)

// kept are the snapshots that pages were taken from, so that the next page comes from the same state without
// reading etcd. They pin old versions in memory: hence few, and none that has not been asked for in a while.
type kept struct {
	mu    sync.Mutex
	list  []keptSnapshot // least recently used first
	floor int64          // none is of an earlier revision: etcd has forgotten those
	timer *time.Timer    // runs while there is something to expire
}

type keptSnapshot struct {
	*snapshot
	used time.Time
}

const (
	keptMax  = 16
	keptIdle = time.Minute
)

func (k *kept) put(s *snapshot, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.rev < k.floor {
		return
	}
	k.take(s.rev)
	k.list = append(k.list, keptSnapshot{s, now})
	if len(k.list) > keptMax {
		k.list = append(k.list[:0:0], k.list[1:]...)
	}
	if k.timer == nil {
		k.timer = time.AfterFunc(keptIdle, func() { k.expire(time.Now()) })
	}
}

// get returns the snapshot of rev, or nil.
func (k *kept) get(rev int64, now time.Time) *snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.take(rev)
	if s != nil {
		k.list = append(k.list, keptSnapshot{s, now})
	}
	return s
}

func (k *kept) take(rev int64) *snapshot {
	for i, s := range k.list {
		if s.rev == rev {
			k.list = append(k.list[:i:i], k.list[i+1:]...)
			return s.snapshot
		}
	}
	return nil
}

// forget drops what is older than rev. Without it a client that asks for the same page again and again would pin a state that
// everybody else is told is gone.
func (k *kept) forget(rev int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.floor = max(k.floor, rev)
	k.list = slices.DeleteFunc(slices.Clone(k.list), func(s keptSnapshot) bool { return s.rev < rev })
}

// expire drops what has not been used for keptIdle, and comes back for the rest.
func (k *kept) expire(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.list) > 0 && now.Sub(k.list[0].used) >= keptIdle {
		k.list = append(k.list[:0:0], k.list[1:]...)
	}
	k.timer = nil
	if len(k.list) > 0 {
		k.timer = time.AfterFunc(keptIdle-now.Sub(k.list[0].used), func() { k.expire(time.Now()) })
	}
}

func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer != nil {
		k.timer.Stop()
	}
	k.list = nil
}
