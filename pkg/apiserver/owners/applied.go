package owners

import (
	"encoding/json"
	"math"
	"reflect"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// A pipeline applies the same fields again and again, some with new values. Then there is nothing to take away, nothing to add and
// nobody to argue with, and the apply comes to setting these values. To find that out, what is wanted is walked along the object and
// along the set of the fields that the manager has applied before: each field must be in all three, and the set must have no more.

// Applied merges want, all that manager wants of obj, into obj, and brings the owners of its fields up to date. False means that the
// library has to do it; then obj is as it was. want may hold what a JSON decoder makes, and is not changed.
func (k *Kind) Applied(obj metav1.Object, want map[string]any, manager string, now time.Time) bool {
	if k.plan.raw || k.plan.refuses {
		return false // the library would write what is within in another way, or not take it
	}
	entries := obj.GetManagedFields()
	self := metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: k.version, Subresource: k.sub}
	have, own, ok := k.read(entries, &self)
	if !ok || own < 0 {
		return false
	}
	m := merge{}
	if !m.object(k.plan, reflect.ValueOf(obj).Elem(), want, have[own]) || m.members != have[own].Size() {
		return false
	}
	for i := range m.changes {
		if !covered([]fieldpath.Path{m.changes[i].path}, have, own) {
			return false
		}
	}
	for i := range m.changes {
		m.changes[i].set()
	}
	obj.SetManagedFields(renewed(entries, own, len(m.changes) > 0, now))
	return true
}

// merge is the walk of one apply. It changes nothing: it collects the changes.
type merge struct {
	path    fieldpath.Path
	members int // how many fields are wanted
	changes []change
}

type change struct {
	path fieldpath.Path
	set  func()
}

// object walks over the fields of a whole object. Those that nobody can own must be what they are.
func (m *merge) object(p *Plan, obj reflect.Value, want map[string]any, set *fieldpath.Set) bool {
	for name, w := range want {
		if f := p.root.field(name); f != nil && name != "metadata" {
			if !m.field(f, obj, w, set) {
				return false
			}
			continue
		}
		if name == "metadata" {
			meta, isMap := w.(map[string]any)
			f := p.root.field(name)
			if !isMap || f == nil || f.node.form != record || !m.metadata(p, f, obj, meta, set) {
				return false
			}
			continue
		}
		if !unchanged(p.fixed, name, obj, w) {
			return false
		}
	}
	return true
}

func (m *merge) metadata(p *Plan, f *part, obj reflect.Value, want map[string]any, set *fieldpath.Set) bool {
	below, _ := set.Children.Get(f.path)
	meta := f.entry.GetFrom(obj)
	m.path = append(m.path, f.path)
	defer func() { m.path = m.path[:len(m.path)-1] }()
	for name, w := range want {
		if inside := f.node.field(name); inside != nil {
			if below == nil || !m.field(inside, meta, w, below) {
				return false
			}
		} else if !unchanged(p.fixedMeta, name, meta, w) {
			return false
		}
	}
	return true
}

// unchanged tells whether want is the text that the field of that name has already.
func unchanged(fields []part, name string, of reflect.Value, want any) bool {
	text, isText := want.(string)
	for i := range fields {
		if f := &fields[i]; f.name == name {
			v := f.entry.GetFrom(of)
			return isText && v.Kind() == reflect.String && v.String() == text
		}
	}
	return false
}

// field walks into one field of a record; set is of the paths below the record.
func (m *merge) field(f *part, of reflect.Value, want any, set *fieldpath.Set) bool {
	have := f.entry.GetFrom(of)
	if want == nil || f.entry.CanOmit(have) {
		return false
	}
	for have.Kind() == reflect.Pointer {
		if have.IsNil() {
			return false
		}
		have = have.Elem()
	}
	m.path = append(m.path, f.path)
	ok := m.value(f.node, f.path, have, want, set)
	m.path = m.path[:len(m.path)-1]
	return ok
}

// value walks into the value at the path element at; set is of the paths beside it.
func (m *merge) value(n *node, at fieldpath.PathElement, have reflect.Value, want any, set *fieldpath.Set) bool {
	if n.form == leaf {
		return m.member(at, set) && m.leaf(n, have, want, func(v reflect.Value) { have.Set(v) })
	}
	below, _ := set.Children.Get(at)
	fields, isMap := want.(map[string]any)
	switch {
	case isMap && len(fields) == 0 && (n.form == record || n.form == dict):
		return m.member(at, set)
	case below == nil:
		return false
	case isMap && n.form == record:
		for name, w := range fields {
			if f := n.field(name); f == nil || !m.field(f, have, w, below) {
				return false
			}
		}
		return true
	case isMap && n.form == dict:
		return m.dict(n, have, fields, below)
	}
	elements, isList := want.([]any)
	return isList && n.form == list && m.list(n, have, elements, below)
}

// member counts a field that the set must have.
func (m *merge) member(at fieldpath.PathElement, set *fieldpath.Set) bool {
	m.members++
	return set.Members.Has(at)
}

// dict walks over the keys of a map of single values.
func (m *merge) dict(n *node, have reflect.Value, want map[string]any, set *fieldpath.Set) bool {
	if n.elem.form != leaf {
		return false
	}
	for name, w := range want {
		at := fieldpath.FieldNameElement(name)
		key := reflect.ValueOf(name).Convert(have.Type().Key())
		v := have.MapIndex(key)
		if w == nil || !v.IsValid() || !m.member(at, set) {
			return false
		}
		m.path = append(m.path, at)
		ok := m.leaf(n.elem, v, w, func(v reflect.Value) { have.SetMapIndex(key, v) })
		m.path = m.path[:len(m.path)-1]
		if !ok {
			return false
		}
	}
	return true
}

// list walks over the elements of a list with keys. All that are wanted must be there, in the same order.
func (m *merge) list(n *node, have reflect.Value, want []any, set *fieldpath.Set) bool {
	if len(want) == 0 || len(want) > have.Len() || !n.distinct(have) {
		return false
	}
	i := 0
	for _, w := range want {
		fields, isMap := w.(map[string]any)
		if !isMap {
			return false
		}
		at, ok := n.wantedKey(fields)
		if !ok {
			return false
		}
		for ; i < have.Len(); i++ {
			if key, _ := n.key(have.Index(i)); key.Equals(at) {
				break
			}
		}
		if i == have.Len() || n.elem.form == record && !m.member(at, set) { // a leaf is counted as such
			return false
		}
		elem := have.Index(i)
		for elem.Kind() == reflect.Pointer {
			elem = elem.Elem() // not nil: it has a key
		}
		m.path = append(m.path, at)
		ok = m.value(n.elem, at, elem, w, set)
		m.path = m.path[:len(m.path)-1]
		if !ok {
			return false
		}
		i++ // so that a second one of this key is not found
	}
	return true
}

// wantedKey is what names an element that is wanted.
func (n *node) wantedKey(want map[string]any) (fieldpath.PathElement, bool) {
	fields := make(value.FieldList, 0, len(n.keys))
	for i := range n.keys {
		k := &n.keys[i]
		switch w := want[k.name].(type) {
		case string:
			fields = append(fields, value.Field{Name: k.name, Value: value.NewValueInterface(w)})
		case float64:
			if w != math.Trunc(w) || math.Abs(w) > 1<<31 {
				return fieldpath.PathElement{}, false
			}
			fields = append(fields, value.Field{Name: k.name, Value: value.NewValueInterface(int64(w))})
		default:
			if _, there := want[k.name]; there {
				return fieldpath.PathElement{}, false
			}
			if k.missing != nil {
				fields = append(fields, value.Field{Name: k.name, Value: k.missing})
			}
		}
	}
	fields.Sort()
	return fieldpath.PathElement{Key: &fields}, len(fields) > 0
}

// leaf notes a change if have is another value than want. False means that want is none for this field, or none that is simple.
func (m *merge) leaf(n *node, have reflect.Value, want any, set func(reflect.Value)) bool {
	if n.scalar != "" && !fits(n.scalar, want) {
		return false
	}
	switch have.Kind() {
	case reflect.String:
		if text, ok := want.(string); ok && have.String() == text {
			return true
		}
	case reflect.Bool:
		if b, ok := want.(bool); ok && have.Bool() == b {
			return true
		}
	case reflect.Int32, reflect.Int64:
		if x, ok := want.(float64); ok && float64(have.Int()) == x && math.Abs(x) < 1<<53 {
			return true
		}
	default:
		if text, ok := textOf(have); ok && text == want {
			return true
		}
		v, ok := valueOf(have)
		if !ok || v.IsNull() {
			return false
		}
		if value.Equals(v, value.NewValueInterface(want)) {
			return true
		}
	}
	made, ok := decoded(have.Type(), want)
	if ok {
		m.changes = append(m.changes, change{path: m.path.Copy(), set: func() { set(made) }})
	}
	return ok
}

// textOf is how have, a value that can be written as a text, is written: resources and ports are looked at with each apply.
func textOf(have reflect.Value) (string, bool) {
	switch v := have.Interface().(type) {
	case resource.Quantity:
		return v.String(), true
	case intstr.IntOrString:
		return v.StrVal, v.Type == intstr.String
	}
	return "", false
}

// fits tells whether want is a value of a scalar type.
func fits(t schema.Scalar, want any) bool {
	switch want.(type) {
	case string:
		return t == schema.String || t == schema.Untyped
	case bool:
		return t == schema.Boolean || t == schema.Untyped
	case float64:
		return t == schema.Numeric || t == schema.Untyped
	}
	return false
}

// decoded is want as a value of type t.
func decoded(t reflect.Type, want any) (reflect.Value, bool) {
	if !flat(want, true) {
		return reflect.Value{}, false
	}
	text, err := json.Marshal(want)
	if err != nil {
		return reflect.Value{}, false
	}
	v := reflect.New(t)
	err = jsonv2.Unmarshal(text, v.Interface(), jsonv2.RejectUnknownMembers(true))
	return v.Elem(), err == nil
}

// flat tells whether want has nothing in it for which the schema has rules besides types: no null, and no list of what has parts.
func flat(want any, parts bool) bool {
	switch w := want.(type) {
	case nil:
		return false
	case map[string]any:
		for _, inside := range w {
			if !flat(inside, true) {
				return false
			}
		}
		return parts
	case []any:
		for _, inside := range w {
			if !flat(inside, false) {
				return false
			}
		}
		return parts
	}
	return true
}
