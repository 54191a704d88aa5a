package store

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Watcher is one reader of changes. It is used by one goroutine at a time.
//
// What it delivers comes from three places, one after the other:
//
//	state (Initial)  or  backlog (After)  ──►  queue (what happened since)
//
// All hold changes that only may concern it. Whether they do, and as what, is decided in Next, by the reader's
// goroutine.
type Watcher struct {
	store *Store
	opts  WatchOptions
	in    *level // where the hub has it; under Store.mu

	state   *snapshot // the initial state that remains to be sent
	sent    string    // the last key of it that was
	backlog []*change
	events  []Event
	due     *time.Timer // of the next bookmark; nil without bookmarks

	mu    sync.Mutex
	queue []*change
	spare []*change // the last queue, to be used again
	err   error
	stop  func() bool // no longer wait for the end of the context
	wake  chan struct{}
}

const (
	initialBatch = 512  // how many objects of the initial state Next returns at once
	keepBatch    = 1024 // buffers that a burst has made longer than this are not kept
)

func newWatcher(s *Store, o WatchOptions) *Watcher {
	w := &Watcher{store: s, opts: o, wake: make(chan struct{}, 1)}
	if o.Initial != nil {
		w.opts.After = 0
	}
	if o.Bookmarks {
		w.due = time.NewTimer(w.bookmarkTime())
	}
	return w
}

// bookmarkTime varies, so that watchers that began together do not all wake at the same moment.
func (w *Watcher) bookmarkTime() time.Duration {
	return time.Duration(float64(w.store.cfg.BookmarkEvery) * (0.9 + 0.2*rand.Float64()))
}

// Next returns the events since the last call, at least one; it blocks until there is one. An error (ErrSlow,
// ErrTooOld, ErrClosed, or ctx's) is final. The slice is valid until the next call; the objects stay.
func (w *Watcher) Next(ctx context.Context) ([]Event, error) {
	for {
		if err := w.fill(); err != nil {
			return nil, err
		}
		if len(w.events) > 0 {
			return w.events, nil
		}
		if err := w.wait(ctx); err != nil {
			return nil, err
		}
		if len(w.events) > 0 { // a bookmark
			return w.events, nil
		}
	}
}

// Poll is Next without waiting: there may be no events. Bookmarks are left out, but for the one that ends the initial state.
func (w *Watcher) Poll() ([]Event, error) {
	if err := w.fill(); err != nil {
		return nil, err
	}
	return w.events, nil
}

// fill makes events of what there is.
func (w *Watcher) fill() error {
	if w.events = w.events[:0]; cap(w.events) > keepBatch {
		w.events = nil
	}
	if w.state != nil {
		w.initial()
		return w.failed()
	}
	changes, err := w.take()
	if err != nil {
		return err
	}
	for _, c := range w.backlog {
		w.add(c)
	}
	w.backlog = nil
	for _, c := range changes {
		w.add(c)
	}
	if w.due != nil && len(w.events) > 0 {
		w.due.Reset(w.bookmarkTime())
	}
	return nil
}

// initial makes events of the next part of the initial state.
func (w *Watcher) initial() {
	w.state.walk(w.opts.Prefix, w.sent, w.opts.Term, func(o *Object) bool {
		w.sent = o.Key
		if w.opts.Match == nil || w.opts.Match(o) {
			w.events = append(w.events, Event{Type: Added, Object: o, Rev: o.Rev})
		}
		return len(w.events) < initialBatch
	})
	if len(w.events) < initialBatch {
		w.events = append(w.events, Event{Type: Bookmark, Rev: w.state.rev, InitialEnd: true})
		w.state = nil
	}
}

// add makes an event of c, if this watcher is to see one.
func (w *Watcher) add(c *change) {
	if c.rev <= w.opts.After || !covers(w.opts.Prefix, c.key()) {
		return
	}
	was, is := w.admits(c.old), w.admits(c.new)
	switch {
	case was && is:
		w.events = append(w.events, Event{Type: Modified, Object: c.new, Rev: c.rev})
	case is:
		w.events = append(w.events, Event{Type: Added, Object: c.new, Rev: c.rev})
	case was:
		w.events = append(w.events, Event{Type: Deleted, Object: c.last(), Rev: c.rev})
	}
}

func (w *Watcher) admits(o *Object) bool {
	return o != nil && w.opts.Term.admits(o) && (w.opts.Match == nil || w.opts.Match(o))
}

// wait returns when there is something to fill from, an error, or a bookmark in events.
func (w *Watcher) wait(ctx context.Context) error {
	var due <-chan time.Time
	if w.due != nil {
		due = w.due.C
	}
	select {
	case <-w.wake:
	case <-ctx.Done():
		return ctx.Err()
	case <-due:
		w.due.Reset(w.bookmarkTime())
		w.bookmark()
	}
	return nil
}

// bookmark says how far the watch has come. The order matters: all changes up to the store's revision have been
// queued when it is set, so if the queue is empty after reading it, they have been delivered.
func (w *Watcher) bookmark() {
	rev := w.store.Revision()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 && w.err == nil && rev > w.opts.After {
		w.events = append(w.events[:0], Event{Type: Bookmark, Rev: rev})
	}
}

// push queues c. It reports whether the watcher has to be woken, and whether it could keep up.
func (w *Watcher) push(c *change) (first, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return false, false
	}
	if len(w.queue) >= w.store.cfg.WatchQueue {
		w.finish(ErrSlow)
		return false, false
	}
	w.queue = append(w.queue, c)
	return len(w.queue) == 1, true
}

// take returns the queue and leaves it empty.
func (w *Watcher) take() ([]*change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	clear(w.spare)
	if cap(w.spare) > keepBatch {
		w.spare = nil
	}
	w.queue, w.spare = w.spare[:0], w.queue
	return w.spare, nil
}

func (w *Watcher) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// fail ends the watch for the reason err.
func (w *Watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finish(err)
}

func (w *Watcher) finish(err error) {
	if w.err != nil {
		return
	}
	w.err, w.queue = err, nil
	if w.stop != nil {
		w.stop()
	}
	w.rouse()
}

// endWith makes the watch end with ctx.
func (w *Watcher) endWith(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		w.store.unregister(w)
		w.fail(ctx.Err())
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop = stop; w.err != nil {
		stop()
	}
}

// rouse makes Next look again.
func (w *Watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
