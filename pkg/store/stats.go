package store

import (
	"context"
	"fmt"
	"maps"
)

// Stats is the state of the store in numbers, for /debug.
type Stats struct {
	Revision int64
	// Objects are counted by the first segment of their keys after the prefix.
	Objects map[string]Count
	// Changes are how often each of these has changed since the image was loaded.
	Changes map[string]uint64
	// Watchers are counted by what they watch: the prefix, and the term if there is one, as "prefix field=value".
	Watchers map[string]int
	// History is how many changes watches can resume from in memory, HistoryFrom the revision it reaches back to.
	History      int
	HistoryFrom  int64
	HistoryBytes int64
	// Drafts is how many keys have a write under way.
	Drafts int
	// FormBytes is the total of cached encodings.
	FormBytes int64
}

// Stats returns the present numbers.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Stats{
		Revision:     s.image.rev,
		Objects:      map[string]Count{},
		Changes:      map[string]uint64{},
		Watchers:     map[string]int{},
		History:      s.history.len(),
		HistoryFrom:  s.history.floor,
		HistoryBytes: s.history.bytes,
		Drafts:       s.drafts.len(),
		FormBytes:    s.forms.size(),
	}
	for name, c := range s.image.counts {
		if c.Objects > 0 {
			st.Objects[name] = c.Count
		}
		if c.changes > 0 {
			st.Changes[name] = c.changes
		}
	}
	maps.Insert(st.Watchers, s.hub.scopes())
	return st
}

// Count is how many objects there are below a first segment, and their bytes: one lookup, for those who ask with each request.
func (s *Store) Count(segment string) Count {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.image.counts[segment]; c != nil {
		return c.Count
	}
	return Count{}
}

// Behind is how many changes wait for the watcher's reader.
func (w *Watcher) Behind() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// Sizes are the bytes of the database of each of etcd's servers, as they say themselves.
func (s *Store) Sizes(ctx context.Context) ([]int64, error) {
	servers := s.client.Endpoints()
	if s.server != nil {
		servers = []string{""} // the one inside
	}
	var sizes []int64
	for _, server := range servers {
		st, err := s.client.Status(ctx, server)
		if err != nil {
			return nil, fmt.Errorf("ask etcd for its size: %w", err)
		}
		sizes = append(sizes, st.DbSize)
	}
	return sizes, nil
}
