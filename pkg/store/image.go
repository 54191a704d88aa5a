package store

import (
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
	counts map[string]*Count
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

func newImage(prefix string, indexed []string) *image {
	im := &image{
		byKey:  btree.NewG(degree, func(a, b *Object) bool { return a.Key < b.Key }),
		counts: map[string]*Count{},
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
	im.count(old, -1)
	im.count(o, +1)
	return old
}

// remove drops key and returns what was there, or nil.
func (im *image) remove(key string) *Object {
	im.shot = nil
	old, _ := im.byKey.Delete(&Object{Key: key})
	for _, x := range im.byTerm {
		x.move(old, nil)
	}
	im.count(old, -1)
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

func (im *image) count(o *Object, by int) {
	if o == nil {
		return
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(o.Key, im.prefix), "/")
	c := im.counts[name]
	if c == nil {
		c = &Count{}
		im.counts[strings.Clone(name)] = c
	}
	c.Objects += by
	c.Bytes += int64(by * len(o.Value))
	if c.Objects == 0 {
		delete(im.counts, name)
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
