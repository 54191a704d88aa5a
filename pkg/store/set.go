package store

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// Pair is one label or field.
type Pair struct{ Key, Value string }

// Set is labels or fields in key order, each key once: a small sorted slice instead of a map, because there is
// one for each object. It implements labels.Labels and fields.Fields of apimachinery.
type Set []Pair

// NewSet returns m as a Set.
func NewSet(m map[string]string) Set {
	if len(m) == 0 {
		return nil
	}
	s := make(Set, 0, len(m))
	for k, v := range m {
		s = append(s, Pair{k, v})
	}
	slices.SortFunc(s, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
	return s
}

// Lookup returns the value of key and whether there is one. Sets are small: looking at all beats a binary search.
func (s Set) Lookup(key string) (string, bool) {
	for i := range s {
		if s[i].Key == key {
			return s[i].Value, true
		}
	}
	return "", false
}

// Get returns the value of key, or "".
func (s Set) Get(key string) string {
	v, _ := s.Lookup(key)
	return v
}

// Has reports whether s has key.
func (s Set) Has(key string) bool {
	_, ok := s.Lookup(key)
	return ok
}

// interner makes equal strings and equal Sets share memory. Pods of one ReplicaSet have the same labels, those of
// one node the same spec.nodeName; kept apart they would weigh more than everything else that the image adds to the
// stored bytes.
//
// It is a cache, not a registry: when it has grown to internMax entries it is emptied, and what was shared stays
// shared. So values that never recur (a UID) cannot make it leak.
type interner struct {
	mu      sync.Mutex
	seed    maphash.Seed
	strings map[string]string
	sets    map[uint64]Set
}

const internMax = 1 << 14

func newInterner() *interner {
	return &interner{seed: maphash.MakeSeed(), strings: map[string]string{}, sets: map[uint64]Set{}}
}

// attrs returns a with shared memory. Values that are part of key (a name, a namespace) become slices of it.
func (in *interner) attrs(key string, a Attrs) Attrs {
	in.mu.Lock()
	defer in.mu.Unlock()
	return Attrs{Labels: in.whole(a.Labels), Fields: in.parts(key, a.Fields)}
}

// whole shares a Set as a unit, which is right for labels.
func (in *interner) whole(s Set) Set {
	if len(s) == 0 {
		return nil
	}
	h := in.hash(s)
	if have, ok := in.sets[h]; ok && slices.Equal(have, s) {
		return have
	}
	if len(in.sets) >= internMax {
		clear(in.sets)
	}
	out := in.parts("", s)
	in.sets[h] = out
	return out
}

// parts shares the strings of a Set, which is right for fields: metadata.name makes each Set different.
func (in *interner) parts(key string, s Set) Set {
	if len(s) == 0 {
		return nil
	}
	out := make(Set, len(s))
	for i, p := range s {
		out[i] = Pair{Key: in.string(p.Key), Value: in.value(key, p.Value)}
	}
	return out
}

func (in *interner) value(key, v string) string {
	if i := strings.LastIndex(key, v); i >= 0 {
		return key[i : i+len(v)]
	}
	return in.string(v)
}

func (in *interner) string(v string) string {
	if have, ok := in.strings[v]; ok {
		return have
	}
	if len(in.strings) >= internMax {
		clear(in.strings)
	}
	v = strings.Clone(v)
	in.strings[v] = v
	return v
}

func (in *interner) hash(s Set) uint64 {
	var h maphash.Hash
	h.SetSeed(in.seed)
	for _, p := range s {
		h.WriteString(p.Key)
		h.WriteByte(0)
		h.WriteString(p.Value)
		h.WriteByte(0)
	}
	return h.Sum64()
}
