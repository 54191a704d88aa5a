package owners

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// form is what the schema and the Go type together make of a value.
type form int

const (
	// The zero form is that of opaque values, which are not looked into: if they are not the same before and after, the walk gives up.
	_ form = iota
	// refused values make the library refuse the object, or might: the walk gives up where there is one.
	refused
	leaf   // one value, whatever is inside
	record // a struct, with an owner for each field
	dict   // a map, with an owner for each key
	list   // a list whose elements are known by their keys
)

// node is how values of one Go type are walked by one type of the schema.
type node struct {
	form   form
	scalar schema.Scalar // of a leaf that is one
	fields []part        // of a record, by their names
	elem   *node         // of a dict or a list
	keys   []part        // of a list: the fields that name its elements
}

// part is a field of a struct.
type part struct {
	name    string
	path    fieldpath.PathElement
	entry   *value.FieldCacheEntry
	node    *node
	missing value.Value // what a key that is left out stands for; nil if it has no default
}

// field returns the field of a record by its name, nil if there is none.
func (n *node) field(name string) *part {
	i, found := slices.BinarySearchFunc(n.fields, name, func(p part, name string) int { return strings.Compare(p.name, name) })
	if !found {
		return nil
	}
	return &n.fields[i]
}

// Plan is how objects of one Go type are walked by the schema of one version of their kind.
type Plan struct {
	root *node
	// fixed and fixedMeta are the fields of the object and of its metadata that nobody owns.
	fixed, fixedMeta []part
	// raw says that somewhere in the objects is text that is kept as it was sent, refuses that some are refused by the library.
	raw, refuses bool
}

// unowned are the fields of an object that nobody owns, though clients send them.
var unowned = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"),
	fieldpath.MakePathOrDie("metadata"),
	fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"),
	fieldpath.MakePathOrDie("metadata", "creationTimestamp"), fieldpath.MakePathOrDie("metadata", "selfLink"),
	fieldpath.MakePathOrDie("metadata", "uid"), fieldpath.MakePathOrDie("metadata", "clusterName"),
	fieldpath.MakePathOrDie("metadata", "generation"), fieldpath.MakePathOrDie("metadata", "managedFields"),
	fieldpath.MakePathOrDie("metadata", "resourceVersion"),
)

// NewPlan compiles the plan for objects of the type that obj points to; empty is such an object as the schema sees it. What is below
// the field of the name ignored is not written, and not looked at.
func NewPlan(obj any, empty *typed.TypedValue, ignored string) *Plan {
	c := compiler{schema: empty.Schema(), known: map[compiled]*node{}}
	root := *c.node(empty.TypeRef(), reflect.TypeOf(obj).Elem()) // its own copy: the fields below are left out here only
	p := &Plan{root: &root, raw: raw(reflect.TypeOf(obj), map[reflect.Type]bool{}), refuses: refuses(&root, map[*node]bool{})}
	fixed := func(f *part) bool { return unowned.Members.Has(f.path) && f.name != "metadata" }
	root.fields, p.fixed = split(root.fields, fixed)
	root.fields, _ = split(root.fields, func(f *part) bool { return f.name == ignored })
	if f := root.field("metadata"); f != nil && f.node.form == record {
		meta := *f.node
		below, _ := unowned.Children.Get(f.path)
		meta.fields, p.fixedMeta = split(meta.fields, func(f *part) bool { return below.Members.Has(f.path) })
		f.node = &meta
	}
	return p
}

// refuses tells whether there is a refused value within n.
func refuses(n *node, seen map[*node]bool) bool {
	if n == nil || seen[n] {
		return false
	}
	seen[n] = true
	return n.form == refused || refuses(n.elem, seen) || slices.ContainsFunc(n.fields, func(p part) bool { return refuses(p.node, seen) })
}

// split returns the fields that are not apart, and those that are.
func split(all []part, apart func(*part) bool) (rest, out []part) {
	for i := range all {
		if apart(&all[i]) {
			out = append(out, all[i])
		} else {
			rest = append(rest, all[i])
		}
	}
	return rest, out
}

// compiler makes nodes, each once: types may hold themselves.
type compiler struct {
	schema *schema.Schema
	known  map[compiled]*node
}

type compiled struct {
	name     string
	relation schema.ElementRelationship
	t        reflect.Type
}

func (c *compiler) node(ref schema.TypeRef, t reflect.Type) *node {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if ref.NamedType == nil {
		n := &node{}
		c.fill(n, ref, t)
		return n
	}
	key := compiled{name: *ref.NamedType, t: t}
	if ref.ElementRelationship != nil {
		key.relation = *ref.ElementRelationship
	}
	if n, ok := c.known[key]; ok {
		return n
	}
	n := &node{}
	c.known[key] = n
	c.fill(n, ref, t)
	return n
}

// readable are the types that write themselves, and read what they have written as the same. FieldsV1 is only in managedFields.
var readable = map[reflect.Type]bool{
	reflect.TypeFor[metav1.Time](): true, reflect.TypeFor[metav1.MicroTime](): true, reflect.TypeFor[metav1.Duration](): true,
	reflect.TypeFor[resource.Quantity](): true, reflect.TypeFor[intstr.IntOrString](): true, reflect.TypeFor[metav1.FieldsV1](): true,
}

// raw tells whether within t is text that is kept as it was sent, spaces and all.
func raw(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || readable[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return raw(t.Elem(), seen)
	case reflect.Struct:
		if value.TypeReflectEntryOf(t).CanConvertToUnstructured() {
			return true
		}
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && raw(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

func (c *compiler) fill(n *node, ref schema.TypeRef, t reflect.Type) {
	atom, ok := c.schema.Resolve(ref)
	converts := value.TypeReflectEntryOf(t).CanConvertToUnstructured()
	switch {
	case !ok:
		n.form = refused
	case atom.Scalar != nil && atom.List == nil && atom.Map == nil:
		n.form, n.scalar = leaf, *atom.Scalar
	case converts:
	case atom.List != nil && atom.Map == nil && atom.Scalar == nil && t.Kind() == reflect.Slice:
		c.fillList(n, atom.List, t)
	case atom.Map != nil && atom.List == nil && atom.Scalar == nil:
		c.fillMap(n, atom.Map, t)
	}
}

func (c *compiler) fillMap(n *node, m *schema.Map, t reflect.Type) {
	switch {
	case m.ElementRelationship == schema.Atomic:
		n.form = leaf
	case t.Kind() == reflect.Struct:
		n.form = record
		for _, e := range value.TypeReflectEntryOf(t).OrderedFields() {
			n.fields = append(n.fields, c.part(m, e, t))
		}
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		n.form, n.elem = dict, c.node(m.ElementType, t.Elem())
	}
}

func (c *compiler) part(m *schema.Map, e *value.FieldCacheEntry, t reflect.Type) part {
	p := part{name: e.JsonName, path: fieldpath.FieldNameElement(e.JsonName), entry: e, node: &node{form: refused}}
	if f, ok := m.FindField(e.JsonName); ok {
		p.node = c.node(f.Type, e.GetFrom(reflect.New(t).Elem()).Type())
		if f.Default != nil {
			p.missing = value.NewValueInterface(f.Default)
		}
	}
	return p
}

// fillList plans a list whose elements have keys. A set of scalars stays opaque.
func (c *compiler) fillList(n *node, l *schema.List, t reflect.Type) {
	if l.ElementRelationship == schema.Atomic {
		n.form = leaf
		return
	}
	if len(l.Keys) == 0 {
		return
	}
	n.form = refused // an element might have no key at all
	atom, ok := c.schema.Resolve(l.ElementType)
	of := t.Elem()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if !ok || atom.Map == nil || of.Kind() != reflect.Struct {
		return
	}
	named := false
	for _, e := range value.TypeReflectEntryOf(of).OrderedFields() {
		if slices.Contains(l.Keys, e.JsonName) {
			p := c.part(atom.Map, e, of)
			n.keys = append(n.keys, p)
			named = named || p.missing != nil || !e.CanOmit(reflect.Zero(p.goType(of)))
		}
	}
	if n.elem = c.node(l.ElementType, of); named && len(n.keys) == len(l.Keys) && (n.elem.form == record || n.elem.form == leaf) {
		n.form = list
	}
}

func (p *part) goType(of reflect.Type) reflect.Type {
	return p.entry.GetFrom(reflect.New(of).Elem()).Type()
}
