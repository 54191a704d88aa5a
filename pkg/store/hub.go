package store

import "iter"

// hub routes changes to watchers. Each watcher is in one group, by the narrowest facts that its scope fixes: its
// prefix, and under it the value of an indexed field. A change is offered to the groups of each prefix of its key
// ("/registry/", "/registry/pods/", "/registry/pods/default/", and the key itself), there to those of the old and
// of the new value of each indexed field. What this costs depends on the watchers that may care, not on
// how many there are: a thousand kubelets that each watch the pods of their node cost a pod change two lookups.
//
// Whoever touches the hub holds Store.mu.
type hub struct {
	indexed []string
	levels  map[string]*level
	dirty   []*Watcher // were given something since the last flush
	slow    []*Watcher // have to be removed when routing is done
	count   int
}

// level is the watchers of one prefix.
type level struct {
	all    []*Watcher
	byTerm map[Term][]*Watcher
}

func (h *hub) add(w *Watcher) {
	l := h.levels[w.opts.Prefix]
	if l == nil {
		if h.levels == nil {
			h.levels = map[string]*level{}
		}
		l = &level{byTerm: map[Term][]*Watcher{}}
		h.levels[w.opts.Prefix] = l
	}
	if t := h.term(w); t != nil {
		l.byTerm[*t] = append(l.byTerm[*t], w)
	} else {
		l.all = append(l.all, w)
	}
	w.in = l
	h.count++
}

// term returns the term by which w is grouped, nil if its field is not indexed.
func (h *hub) term(w *Watcher) *Term {
	for _, field := range h.indexed {
		if w.opts.Term != nil && w.opts.Term.Field == field {
			return w.opts.Term
		}
	}
	return nil
}

func (h *hub) remove(w *Watcher) {
	if w.in == nil {
		return
	}
	if t := h.term(w); t != nil {
		if rest := without(w.in.byTerm[*t], w); len(rest) > 0 {
			w.in.byTerm[*t] = rest
		} else {
			delete(w.in.byTerm, *t)
		}
	} else {
		w.in.all = without(w.in.all, w)
	}
	if len(w.in.all) == 0 && len(w.in.byTerm) == 0 {
		delete(h.levels, w.opts.Prefix)
	}
	w.in = nil
	h.count--
}

// without removes w by moving the last into its place.
func without(list []*Watcher, w *Watcher) []*Watcher {
	for i, x := range list {
		if x == w {
			last := len(list) - 1
			list[i], list[last] = list[last], nil
			return list[:last]
		}
	}
	return list
}

// route offers c to all watchers whose scope it may be in.
func (h *hub) route(c *change) {
	key := c.key()
	for i := range len(key) {
		if key[i] == '/' {
			h.offer(h.levels[key[:i+1]], c)
		}
	}
	if !isDir(key) {
		h.offer(h.levels[key], c)
	}
}

func (h *hub) offer(l *level, c *change) {
	if l == nil {
		return
	}
	h.deliver(l.all, c)
	if len(l.byTerm) == 0 {
		return
	}
	for _, field := range h.indexed {
		was, before := has(c.old, field)
		is, after := has(c.new, field)
		if was {
			h.deliver(l.byTerm[Term{field, before}], c)
		}
		if is && !(was && before == after) {
			h.deliver(l.byTerm[Term{field, after}], c)
		}
	}
}

func (h *hub) deliver(to []*Watcher, c *change) {
	for _, w := range to {
		first, ok := w.push(c)
		if first {
			h.dirty = append(h.dirty, w)
		}
		if !ok {
			h.slow = append(h.slow, w)
		}
	}
}

// flush ends a round of routing. It returns the watchers to wake, which is done without the lock.
func (h *hub) flush() []*Watcher {
	for _, w := range h.slow {
		h.remove(w)
	}
	clear(h.slow)
	woken := h.dirty
	h.slow, h.dirty = h.slow[:0], h.dirty[:0] // the next round begins when these are woken
	return woken
}

// failAll ends all watches. They are in no level any more: the next level of a prefix belongs to later watchers.
func (h *hub) failAll(err error) {
	for _, l := range h.levels {
		for _, w := range l.all {
			w.fail(err)
			w.in = nil
		}
		for _, list := range l.byTerm {
			for _, w := range list {
				w.fail(err)
				w.in = nil
			}
		}
	}
	h.levels, h.count = nil, 0
}

// scopes yields how many watchers there are of each scope.
func (h *hub) scopes() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for prefix, l := range h.levels {
			if len(l.all) > 0 && !yield(prefix, len(l.all)) {
				return
			}
			for t, list := range l.byTerm {
				if !yield(prefix+" "+t.Field+"="+t.Value, len(list)) {
					return
				}
			}
		}
	}
}
