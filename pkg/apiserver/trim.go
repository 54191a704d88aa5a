package apiserver

import (
	"maps"
	"reflect"
	"strings"
	"sync"

	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Most writes change one part of an object: a kubelet the status of a pod, a controller the spec of a deployment. Merging a patch
// and finding out who owns which field cost in proportion to what they are shown, so they are shown the object without the parts
// that cannot matter: those that are the same before and after, or that the patch does not name. Parts are the fields of
// the object's Go struct besides its type and metadata: spec, status, data.

// parts lists, by their JSON names, the indices of a type's parts.
type parts map[string]int

var partsByType sync.Map // reflect.Type → parts

func partsOf(t reflect.Type) parts {
	if known, ok := partsByType.Load(t); ok {
		return known.(parts)
	}
	p := parts{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "metadata" {
			p[name] = i
		}
	}
	partsByType.Store(t, p)
	return p
}

// without returns a shallow copy of obj, whose hidden parts are empty.
func without(obj resource.Object, hidden func(name string, part int) bool) resource.Object {
	if u := resource.AsCustom(obj); u != nil {
		return customWithout(u, func(name string) bool { return hidden(name, 0) })
	}
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	for name, i := range partsOf(from.Type()) {
		if hidden(name, i) {
			to.Elem().Field(i).SetZero()
		}
	}
	return to.Interface().(resource.Object)
}

// differing returns a and b, which are of one type, without the parts that are the same in both.
func differing(a, b resource.Object) (resource.Object, resource.Object) {
	if au, bu := resource.AsCustom(a), resource.AsCustom(b); au != nil {
		hidden := func(name string) bool { return reflect.DeepEqual(au.Object[name], bu.Object[name]) }
		return customWithout(au, hidden), customWithout(bu, hidden)
	}
	av, bv := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	same := map[int]bool{}
	for _, i := range partsOf(av.Type()) {
		same[i] = reflect.DeepEqual(av.Field(i).Interface(), bv.Field(i).Interface())
	}
	hidden := func(_ string, part int) bool { return same[part] }
	return without(a, hidden), without(b, hidden)
}

// fill sets the parts of into that are not shown to what they are in from.
func fill(into, from resource.Object, shown map[string]bool) {
	if u := resource.AsCustom(into); u != nil {
		for name, part := range resource.AsCustom(from).Object {
			if isPart(name) && !shown[name] {
				u.Object[name] = part
			}
		}
		return
	}
	to, have := reflect.ValueOf(into).Elem(), reflect.ValueOf(from).Elem()
	for name, i := range partsOf(to.Type()) {
		if !shown[name] {
			to.Field(i).Set(have.Field(i))
		}
	}
}

// metadataOf is the metadata of obj, which is a struct.
func metadataOf(obj resource.Object) reflect.Value {
	return reflect.ValueOf(obj).Elem().FieldByName("ObjectMeta")
}

// customWithout is without for objects that are maps. Their metadata is copied one level deep, so that owners can be taken out of it.
func customWithout(u *unstructured.Unstructured, hidden func(name string) bool) *unstructured.Unstructured {
	shown := make(map[string]any, len(u.Object))
	for name, part := range u.Object {
		if !isPart(name) || !hidden(name) {
			shown[name] = part
		}
	}
	if meta, ok := shown["metadata"].(map[string]any); ok {
		shown["metadata"] = maps.Clone(meta)
	}
	return &unstructured.Unstructured{Object: shown}
}

// isPart tells a part of an object from its type and metadata.
func isPart(name string) bool { return name != "apiVersion" && name != "kind" && name != "metadata" }
