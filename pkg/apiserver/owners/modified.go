package owners

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// mostModified bounds the paths that are followed one by one. More are a matter for sets.
const mostModified = 64

// walk is one walk over two values side by side.
type walk struct {
	path  fieldpath.Path
	found []fieldpath.Path
}

// Modified returns the paths of the fields that have another value in next than in old, both pointers to what the plan is for. False
// means that it cannot be said so simply: the two differ in which fields they have.
func (p *Plan) Modified(old, next any) ([]fieldpath.Path, bool) {
	w := walk{path: make(fieldpath.Path, 0, 16)}
	ok := w.compare(p.root, reflect.ValueOf(old), reflect.ValueOf(next))
	return w.found, ok
}

// compare walks over two values of one type, which are both there. False means that it gives up.
func (w *walk) compare(n *node, a, b reflect.Value) bool {
	for a.Kind() == reflect.Pointer {
		if a.IsNil() || b.IsNil() || a.Pointer() == b.Pointer() {
			return a.Pointer() == b.Pointer()
		}
		a, b = a.Elem(), b.Elem()
	}
	switch n.form {
	case leaf:
		return w.compareLeaf(a, b)
	case record:
		return w.compareRecord(n, a, b)
	case dict:
		return w.compareDict(n, a, b)
	case list:
		return w.compareList(n, a, b)
	case refused:
		return false
	}
	return same(a, b)
}

// compareRecord gives up where a field is there in one and not in the other.
func (w *walk) compareRecord(n *node, a, b reflect.Value) bool {
	for i := range n.fields {
		f := &n.fields[i]
		af, bf := f.entry.GetFrom(a), f.entry.GetFrom(b)
		switch no := f.entry.CanOmit(af); {
		case no != f.entry.CanOmit(bf):
			return false
		case !no && !w.descend(f.path, f.node, af, bf):
			return false
		}
	}
	return true
}

func (w *walk) descend(at fieldpath.PathElement, n *node, a, b reflect.Value) bool {
	w.path = append(w.path, at)
	ok := w.compare(n, a, b)
	w.path = w.path[:len(w.path)-1]
	return ok
}

func (w *walk) compareDict(n *node, a, b reflect.Value) bool {
	if a.Len() != b.Len() || a.IsNil() != b.IsNil() {
		return false
	}
	for it := a.MapRange(); it.Next(); {
		key, av := it.Key(), it.Value()
		bv := b.MapIndex(key)
		if !bv.IsValid() {
			return false
		}
		if av.Kind() == reflect.String && av.String() == bv.String() {
			continue // nearly all maps are of texts that stay as they are
		}
		if !w.descend(fieldpath.FieldNameElement(key.String()), n.elem, av, bv) {
			return false
		}
	}
	return true
}

// compareList compares the elements in their order, which must be by the same keys in both.
func (w *walk) compareList(n *node, a, b reflect.Value) bool {
	if a.Len() != b.Len() || a.IsNil() != b.IsNil() {
		return false
	}
	checked := false
	for i := range a.Len() {
		av, bv := a.Index(i), b.Index(i)
		if same(av, bv) {
			continue
		}
		if !checked && !n.distinct(a) {
			return false
		}
		checked = true
		at, ok := n.key(av)
		other, okToo := n.key(bv)
		if !ok || !okToo || !at.Equals(other) || !w.descend(at, n.elem, av, bv) {
			return false
		}
	}
	return true
}

// key is what names an element of a list.
func (n *node) key(elem reflect.Value) (fieldpath.PathElement, bool) {
	for elem.Kind() == reflect.Pointer {
		if elem.IsNil() {
			return fieldpath.PathElement{}, false
		}
		elem = elem.Elem()
	}
	fields := make(value.FieldList, 0, len(n.keys))
	for i := range n.keys {
		k := &n.keys[i]
		v := k.entry.GetFrom(elem)
		switch {
		case !k.entry.CanOmit(v):
			plain, ok := scalar(v)
			if !ok {
				return fieldpath.PathElement{}, false
			}
			fields = append(fields, value.Field{Name: k.name, Value: plain})
		case k.missing != nil:
			fields = append(fields, value.Field{Name: k.name, Value: k.missing})
		}
	}
	fields.Sort()
	return fieldpath.PathElement{Key: &fields}, len(fields) > 0
}

// scalar is v as a value of a key.
func scalar(v reflect.Value) (value.Value, bool) {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return value.NewValueInterface(v.String()), true
	case reflect.Int, reflect.Int32, reflect.Int64:
		return value.NewValueInterface(v.Int()), true
	}
	return nil, false
}

// mostElements bounds the lists in which a change is looked for one by one: keys are compared each with each.
const mostElements = 64

// distinct tells whether no two elements have the same key.
func (n *node) distinct(l reflect.Value) bool {
	if l.Len() > mostElements {
		return false
	}
	keys := make([]fieldpath.PathElement, l.Len())
	for i := range keys {
		var ok bool
		if keys[i], ok = n.key(l.Index(i)); !ok {
			return false
		}
		for _, other := range keys[:i] {
			if other.Equals(keys[i]) {
				return false
			}
		}
	}
	return true
}

// compareLeaf notes the path if the values are not the same. What is written in two ways may yet be one value.
func (w *walk) compareLeaf(a, b reflect.Value) bool {
	if same(a, b) {
		return true
	}
	switch a.Kind() {
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64:
		return w.note()
	}
	if same, ok := sameTime(a, b); ok {
		return same || w.note()
	}
	if apart(a, b) {
		return w.note()
	}
	av, aok := valueOf(a)
	bv, bok := valueOf(b)
	switch {
	case !aok || !bok || av.IsNull() || bv.IsNull():
		return false
	case value.Equals(av, bv):
		return true
	}
	return w.note()
}

// sameTime tells whether two times are written the same; false for what is no time that has been set.
func sameTime(a, b reflect.Value) (same, ok bool) {
	switch at := a.Interface().(type) {
	case metav1.Time:
		bt := b.Interface().(metav1.Time)
		return at.Unix() == bt.Unix(), !at.IsZero() && !bt.IsZero()
	case metav1.MicroTime:
		bt := b.Interface().(metav1.MicroTime)
		return at.UnixMicro() == bt.UnixMicro(), !at.IsZero() && !bt.IsZero()
	}
	return false, false
}

func (w *walk) note() bool {
	w.found = append(w.found, w.path.Copy())
	return len(w.found) <= mostModified
}

// apart tells whether a and b surely are different values, because somewhere within them are different texts, numbers or lengths. It
// spares turning a list of statuses into what the library compares.
func apart(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64:
		return !same(a, b)
	case reflect.Pointer:
		return !a.IsNil() && !b.IsNil() && apart(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Type().Elem().Kind() == reflect.Uint8 || a.Len() != b.Len() {
			return a.Len() != b.Len()
		}
		for i := range a.Len() {
			if apart(a.Index(i), b.Index(i)) {
				return true
			}
		}
	case reflect.Struct:
		known := value.TypeReflectEntryOf(a.Type())
		if known.CanConvertToUnstructured() {
			same, ok := sameTime(a, b)
			return ok && !same
		}
		for _, f := range known.OrderedFields() {
			if apart(f.GetFrom(a), f.GetFrom(b)) {
				return true
			}
		}
	}
	return false
}

// valueOf is v as the library sees it.
func valueOf(v reflect.Value) (value.Value, bool) {
	if !v.CanAddr() {
		own := reflect.New(v.Type()).Elem()
		own.Set(v)
		v = own
	}
	out, err := value.NewValueReflect(v.Addr().Interface())
	return out, err == nil
}

// same tells whether a and b are the same in Go.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.String:
		return a.String() == b.String()
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return a.Int() == b.Int()
	}
	if a.CanAddr() && b.CanAddr() { // pointers to them are compared without a copy
		return reflect.DeepEqual(a.Addr().Interface(), b.Addr().Interface())
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
