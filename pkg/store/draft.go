package store

import (
	"bytes"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// drafts are the objects of writes that are under way. A write and the watch event of it meet here, in either
// order, so that the object which Commit returns is the one that the image publishes, and nothing is extracted or
// kept twice.
//
// A draft has Rev 0 until one of the two knows it. Rev is written under mu only, and never again once published.
type drafts struct {
	mu    sync.Mutex
	byKey map[string][]draft
}

// draft is an object and what etcd is to hold for it, by which the watch recognises it.
type draft struct {
	*Object
	stored Put
}

// at gives d its revision, and the form that waited for it.
func (d draft) at(rev int64) {
	d.Rev = rev
	if d.stored.JSON != nil {
		d.keep(JSON, &form{bytes: d.stored.JSON(rev), maker: d.stored.Maker})
	}
}

func (d *drafts) add(objects []*Object, stored []Put) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byKey == nil {
		d.byKey = map[string][]draft{}
	}
	for i, o := range objects {
		d.byKey[o.Key] = append(d.byKey[o.Key], draft{o, stored[i]})
	}
}

// drop forgets the drafts of a write that failed, or may have.
func (d *drafts) drop(objects []*Object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range objects {
		d.without(o.Key, func(x *Object) bool { return x == o })
	}
}

func (d *drafts) without(key string, is func(*Object) bool) {
	left := slices.DeleteFunc(d.byKey[key], func(x draft) bool { return is(x.Object) })
	if len(left) == 0 {
		delete(d.byKey, key)
		return
	}
	d.byKey[key] = left
}

// publish returns the draft that kv is, or nil if another process wrote it. The watch calls it, in revision order.
func (d *drafts) publish(kv *mvccpb.KeyValue) *Object {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.byKey[string(kv.Key)]
	if list == nil {
		return nil
	}
	var found draft
	for _, o := range list {
		if o.Rev == kv.ModRevision || found.Object == nil && o.Rev == 0 && bytes.Equal(o.stored.Value, kv.Value) {
			found = o
		}
	}
	if found.Object != nil && found.Rev == 0 { // otherwise its Commit may have returned, and it is read by others
		found.at(kv.ModRevision)
	}
	d.without(string(kv.Key), func(o *Object) bool { return o == found.Object || o.Rev != 0 && o.Rev <= kv.ModRevision })
	return found.Object
}

// settle tells that o was written at rev, which is at most applied if the watch has passed it already, and returns
// the object to hand out. That is o, except when someone else wrote the same bytes to the same key at the same
// time, and the watch took one draft for the other.
func (d *drafts) settle(o *Object, rev int64, applied func() int64) *Object {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch o.Rev {
	case 0:
		o.Rev = rev
		for _, x := range d.byKey[o.Key] { // the watch has not come by, so it is here
			if x.Object == o {
				x.at(rev)
			}
		}
	case rev: // published, and read by others
	default:
		return &Object{Key: o.Key, Rev: rev, Value: o.Value, Attrs: o.Attrs, cache: o.cache}
	}
	if rev <= applied() {
		d.without(o.Key, func(x *Object) bool { return x == o })
	}
	return o
}

// forget drops what was written up to rev, when the watch skips to there.
func (d *drafts) forget(rev int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.byKey {
		d.without(key, func(o *Object) bool { return o.Rev != 0 && o.Rev <= rev })
	}
}

func (d *drafts) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.byKey)
}
