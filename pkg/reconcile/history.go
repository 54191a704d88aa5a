package reconcile

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Record is one plan that did something: what was seen, what was decided and why, what was written.
type Record struct {
	Loop string
	Key  Key
	At   time.Time
	Took time.Duration
	// Seen is the resourceVersion of the key's object that the plan was made from.
	Seen  string
	Steps []Step
}

// Step is one action of a plan and what became of it. Wrote is the resourceVersion that it made.
type Step struct {
	Verb           Verb
	Target, Reason string
	Tried          bool
	Wrote          string
	Err            error
}

// Counts are what a loop has done since its start.
type Counts struct {
	Plans, Actions, Failures, Waits, Panics uint64
	Busy                                    time.Duration
}

// historySize bounds what is kept: some minutes of a busy cluster, well under a megabyte.
const historySize = 512

// History is a ring of the last plans, and counts, of all loops in a process. The zero value is ready, a nil one keeps nothing.
type History struct {
	mu     sync.Mutex
	ring   []Record
	next   int
	counts map[string]Counts
}

// Recent returns the kept records, the oldest first.
func (h *History) Recent() []Record {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(append([]Record(nil), h.ring[h.next:]...), h.ring[:h.next]...)
}

// Counts returns the counts by loop.
func (h *History) Counts() map[string]Counts {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.counts)
}

func (h *History) add(r Record) {
	if h == nil || !slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Verb != Wait }) {
		return
	}
	h.count(r.Loop, func(c *Counts) {
		c.Plans++
		c.Busy += r.Took
		for _, s := range r.Steps {
			if s.Tried {
				c.Actions++
			}
			if s.Err != nil {
				c.Failures++
			}
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) < historySize {
		h.ring = append(h.ring, r)
		return
	}
	h.ring[h.next] = r
	h.next = (h.next + 1) % historySize
}

func (h *History) count(loop string, change func(*Counts)) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		h.counts = map[string]Counts{}
	}
	c := h.counts[loop]
	change(&c)
	h.counts[loop] = c
}
