package store

import (
	"cmp"
	"strings"

	"github.com/google/btree"
)

// tree is an ordered set of objects. Its Clone is copy-on-write, which is what makes snapshots cheap.
type tree = btree.BTreeG[*Object]

const degree = 32

// image is the state of all objects at one revision. It is ordered by key, and for each indexed field once more
// by (value, key), so that a Term is a range of keys too, in the same order and from the same snapshot.
// Whoever changes or clones it holds Store.mu.
type image struct {
	rev    int64
	byKey  *tree
	byTerm []index
	counts map[string]*tally
	prefix string
	shot   *snapshot // the clone at rev, if someone has asked for one
}

// index orders the objects that have field by (its value, key).
type index struct {
	field string
	tree  *tree
}

// Count is how many objects there are and how long their values are in total.
type Count struct {
	Objects int
	Bytes   int64
}

// tally is the count below one segment, and how many changes there have been.
type tally struct {
	Count
	changes uint64
}

func newImage(prefix string, indexed []string) *image {
	im := &image{
		byKey:  btree.NewG(degree, func(a, b *Object) bool { return a.Key < b.Key }),
		counts: map[string]*tally{},
		prefix: prefix,
	}
	for _, field := range indexed {
		im.byTerm = append(im.byTerm, index{field, btree.NewG(degree, byField(field))})
	}
	return im
}

func byField(field string) func(a, b *Object) bool {
	return func(a, b *Object) bool {
		va, vb := a.Attrs.Fields.Get(field), b.Attrs.Fields.Get(field)
		if va != vb {
			return va < vb
		}
		return a.Key < b.Key
	}
}

func (im *image) get(key string) *Object {
	o, _ := im.byKey.Get(&Object{Key: key})
	return o
}

// put adds o and returns what it replaces, or nil.
func (im *image) put(o *Object) *Object {
	im.shot = nil
	old, _ := im.byKey.ReplaceOrInsert(o)
	for _, x := range im.byTerm {
		x.move(old, o)
	}
	im.count(o, old)
	return old
}

// remove drops key and returns what was there, or nil.
func (im *image) remove(key string) *Object {
	im.shot = nil
	old, _ := im.byKey.Delete(&Object{Key: key})
	for _, x := range im.byTerm {
		x.move(old, nil)
	}
	im.count(nil, old)
	return old
}

// move takes the place of old from the index and gives o one. Either may be nil, or lack the field.
func (x index) move(old, o *Object) {
	is, value := has(o, x.field)
	if was, before := has(old, x.field); was && !(is && before == value) {
		x.tree.Delete(old)
	}
	if is {
		x.tree.ReplaceOrInsert(o)
	}
}

func has(o *Object, field string) (bool, string) {
	if o == nil {
		return false, ""
	}
	v, ok := o.Attrs.Fields.Lookup(field)
	return ok, v
}

// count takes note that o is there instead of old; either may be nil.
func (im *image) count(o, old *Object) {
	one := cmp.Or(o, old)
	if one == nil {
		return
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(one.Key, im.prefix), "/")
	t := im.counts[name]
	if t == nil {
		t = &tally{}
		im.counts[strings.Clone(name)] = t
	}
	t.changes++
	if o != nil {
		t.Objects++
		t.Bytes += int64(len(o.Value))
	}
	if old != nil {
		t.Objects--
		t.Bytes -= int64(len(old.Value))
	}
}

// goOn counts changes from where before, which may be nil, has come to: what was loaded is none.
func (im *image) goOn(before *image) {
	for _, t := range im.counts {
		t.changes = 0
	}
	if before == nil {
		return
	}
	for name, old := range before.counts {
		if im.counts[name] == nil {
			im.counts[name] = &tally{}
		}
		im.counts[name].changes = old.changes
	}
}

// snapshot returns the state at im.rev, which stays what it is while the image moves on.
func (im *image) snapshot() *snapshot {
	if im.shot == nil {
		im.shot = &snapshot{rev: im.rev, byKey: im.byKey.Clone()}
		for _, x := range im.byTerm {
			im.shot.byTerm = append(im.shot.byTerm, index{x.field, x.tree.Clone()})
		}
	}
	return im.shot
}
