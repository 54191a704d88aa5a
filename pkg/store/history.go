package store

import (
	"sort"
	"sync/atomic"
)

// change is what one transaction did to one key. It is what the history keeps and watchers' queues hold; each
// watcher makes its own Event of it, since what is Modified for one may be Added for another.
type change struct {
	rev      int64
	old, new *Object // old is nil for a key that was absent, new for a delete

	gone atomic.Pointer[Object]
}

func (c *change) key() string {
	if c.new != nil {
		return c.new.Key
	}
	return c.old.Key
}

// last returns the last state before the change, at the change's revision, as a Deleted event carries it. All
// watchers share one, and so its encodings.
func (c *change) last() *Object {
	if o := c.gone.Load(); o != nil {
		return o
	}
	o := &Object{Key: c.old.Key, Rev: c.rev, Value: c.old.Value, Attrs: c.old.Attrs, cache: c.old.cache}
	c.gone.CompareAndSwap(nil, o)
	return c.gone.Load()
}

// size is about what the history adds to memory by keeping c: the version that c replaced.
func (c *change) size() int64 {
	const overhead = 256
	if c.old == nil {
		return overhead
	}
	return overhead + int64(len(c.old.Value))
}

// history is the recent changes in order, as many as fit into max bytes. All changes after floor are in it.
type history struct {
	max, bytes int64
	floor      int64
	changes    []*change // from head on
	head       int
}

func (h *history) reset(floor int64) {
	*h = history{max: h.max, floor: floor}
}

func (h *history) add(c *change) {
	h.changes = append(h.changes, c)
	h.bytes += c.size()
	for h.bytes > h.max && h.head < len(h.changes) {
		h.drop()
	}
}

// forget drops what happened up to rev.
func (h *history) forget(rev int64) {
	for h.head < len(h.changes) && h.changes[h.head].rev <= rev {
		h.drop()
	}
	h.floor = max(h.floor, rev)
}

// drop removes the oldest change. With it the whole of its revision is incomplete, so the floor rises to it.
func (h *history) drop() {
	c := h.changes[h.head]
	h.changes[h.head] = nil
	h.head++
	h.bytes -= c.size()
	h.floor = c.rev
	if h.head > 64 && h.head > len(h.changes)/2 {
		h.changes = append(h.changes[:0:0], h.changes[h.head:]...)
		h.head = 0
	}
}

// after returns the changes after rev, and whether the history reaches back that far. They are a copy: the history
// itself clears what it drops.
func (h *history) after(rev int64) ([]*change, bool) {
	if rev < h.floor {
		return nil, false
	}
	live := h.changes[h.head:]
	i := sort.Search(len(live), func(i int) bool { return live[i].rev > rev })
	return append([]*change(nil), live[i:]...), true
}

func (h *history) len() int { return len(h.changes) - h.head }
