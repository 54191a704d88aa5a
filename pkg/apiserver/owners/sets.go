package owners

import (
	"bytes"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// sets keeps the sets that entries' texts mean: the same few stand in all objects of a kind.
type sets struct {
	empty *typed.TypedValue
	mu    sync.RWMutex
	known map[string]*fieldpath.Set
	size  int // of the texts
}

// mostText and longestText bound what is kept, ten times as large as its texts. When it is full it starts over: what is in use is back
// soon.
const (
	mostText    = 256 << 10
	longestText = 16 << 10
)

// of returns the set that f means; nil if the library would not write it again as it is.
func (s *sets) of(f *metav1.FieldsV1) *fieldpath.Set {
	if f == nil || f.Size() > longestText {
		return nil
	}
	raw := f.GetRawBytes()
	s.mu.RLock()
	set, ok := s.known[string(raw)]
	s.mu.RUnlock()
	if ok {
		return set
	}
	set = s.parse(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size += len(raw) + 64; s.known == nil || s.size > mostText {
		s.known, s.size = map[string]*fieldpath.Set{}, len(raw)+64
	}
	s.known[string(raw)] = set
	return set
}

// parse reads a set. It must be written as the library writes it, fit the schema, and have nothing in it that nobody can own.
func (s *sets) parse(raw []byte) *fieldpath.Set {
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(raw)); err != nil || set.Empty() {
		return nil
	}
	if again, err := set.ToJSON(); err != nil || !bytes.Equal(raw, again) {
		return nil
	}
	if fitted, err := typed.ReconcileFieldSetWithSchema(set, s.empty); err != nil || fitted != nil {
		return nil
	}
	if !set.Intersection(unowned).Empty() {
		return nil
	}
	return set
}
