package apiserver

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// longAgo is when the owners of the fields in these tests were noted; what has another time was noted by the test.
var longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// dated is what entries say, in their order, with "now" for the time of the test.
func dated(entries []metav1.ManagedFieldsEntry) []string {
	var out []string
	for _, e := range entries {
		when := "never"
		switch {
		case e.Time != nil && e.Time.After(longAgo.AddDate(1, 0, 0)):
			when = "now"
		case e.Time != nil:
			when = e.Time.UTC().String()
		}
		out = append(out, fmt.Sprintln(e.Manager, e.Operation, e.APIVersion, e.Subresource, e.FieldsType, e.FieldsV1, when))
	}
	return out
}

// aged sets all times of entries back, each to another second.
func aged(entries []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
	for i := range entries {
		at := metav1.NewTime(longAgo.Add(time.Duration(i) * time.Second))
		entries[i].Time = &at
	}
	return entries
}

// The owners of fields that are found by looking at what has changed are those that the library finds, times and order included. All
// built-in kinds, each filled with anything and changed in a few places.
func TestOwnersOfAnything(t *testing.T) {
	f := newFieldTracker(time.Now)
	simple := 0
	for _, row := range resource.Table() {
		target := &target{row: row, ver: &row.Versions[0], group: row.Group(), version: row.StorageVersion().Version, resource: row.Resource}
		t.Run(row.Kind+"."+row.Group(), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				old := filledObject(r, row)
				f.track(target, "", old, row.StorageVersion().New(), "first")
				second := old.DeepCopyObject().(resource.Object)
				mutate(r, reflect.ValueOf(second).Elem(), 8)
				f.track(target, "status", second, old, "second")
				old = second
				old.SetManagedFields(aged(old.GetManagedFields()))

				sub := rapid.SampledFrom([]string{"", "status"}).Draw(r, "sub")
				manager := rapid.SampledFrom([]string{"first", "second", ""}).Draw(r, "manager")
				next := old.DeepCopyObject().(resource.Object)
				for range rapid.IntRange(0, 3).Draw(r, "changes") {
					mutate(r, reflect.ValueOf(next).Elem(), 8)
				}
				if rapid.Bool().Draw(r, "silent") {
					next.SetManagedFields(nil)
				}
				simple += agree(r, f, target, sub, next, old, manager)
			})
		})
	}
	require.Positive(t, simple)
}

// agree holds what is found simply against what the library finds, if it is found simply, and returns 1 then.
func agree(t require.TestingT, f *fieldTracker, tg *target, sub string, next, old resource.Object, manager string) int {
	next.GetObjectKind().SetGroupVersionKind(tg.row.GVK())
	old.GetObjectKind().SetGroupVersionKind(tg.row.GVK())
	m, err := f.manager(tg.row, tg.gvk(), sub)
	require.NoError(t, err)
	if tg.row.Unowned[sub] != nil {
		require.Nil(t, m.kind, "the library has to be asked what is owned")
		return 0
	}
	require.NotNil(t, m.kind)
	entries, ok := m.kind.Updated(old, next, knownAs(manager), time.Now())
	if !ok {
		return 0
	}
	shownNext, shownOld := differing(next.DeepCopyObject().(resource.Object), old)
	f.track(tg, sub, shownNext, shownOld, manager)
	require.Equal(t, dated(shownNext.GetManagedFields()), dated(entries))
	return 1
}

// filledObject is an object of the row, filled with drawn values.
func filledObject(r *rapid.T, row *resource.Row) resource.Object {
	obj := row.StorageVersion().New()
	fillAny(r, reflect.ValueOf(obj).Elem(), 0)
	obj.GetObjectKind().SetGroupVersionKind(row.GVK())
	obj.SetManagedFields(nil)
	obj.SetUID("u")
	return obj
}

// few is how many elements, and which texts, are drawn: few enough that two often are the same.
func few(r *rapid.T) int { return rapid.IntRange(0, 3).Draw(r, "few") }

func fillAny(r *rapid.T, v reflect.Value, depth int) {
	const deep = 7
	if scalarAny(r, v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if depth < deep && few(r) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fillAny(r, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && (depth > 0 || v.Type().Field(i).Name != "TypeMeta") && few(r) > 0 {
				fillAny(r, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if depth < deep {
			n := few(r)
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fillAny(r, v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if depth < deep {
			v.Set(reflect.MakeMap(v.Type()))
			for range few(r) {
				key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				fillAny(r, key, depth+1)
				fillAny(r, elem, depth+1)
				v.SetMapIndex(key, elem)
			}
		}
	}
}

// scalarAny sets v if it is one value; false if it has parts.
func scalarAny(r *rapid.T, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("s", few(r)))
	case reflect.Bool:
		v.SetBool(few(r) > 1)
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(int64(few(r)))
	case reflect.Struct:
		switch x := v.Addr().Interface().(type) {
		case *metav1.Time:
			x.Time = longAgo.Add(time.Duration(few(r)) * time.Second)
		case *metav1.MicroTime:
			x.Time = longAgo.Add(time.Duration(few(r)) * time.Microsecond)
		case *metav1.FieldsV1: // in the metadata of templates: of anything but an object the library refuses the whole
			_ = x.UnmarshalJSON([]byte(`{"f:a":{}}`))
		case interface{ UnmarshalJSON([]byte) error }: // quantities, numbers or texts, raw extensions
			text := fmt.Sprint(few(r))
			if x.UnmarshalJSON([]byte(text)) != nil {
				_ = x.UnmarshalJSON([]byte(`{"a":` + text + `}`))
			}
		default:
			return false
		}
	default:
		return v.Kind() == reflect.Interface || v.Kind() == reflect.Uint8 || v.Kind() == reflect.Float64
	}
	return true
}

// mutate changes something within v: most often one value.
func mutate(r *rapid.T, v reflect.Value, depth int) {
	if rapid.IntRange(0, 12).Draw(r, "whole") == 0 && depth < 6 {
		fillAny(r, v, 2)
		return
	}
	if scalarAny(r, v) || depth == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			mutate(r, v.Elem(), depth-1)
		}
	case reflect.Struct:
		full := make([]int, 0, v.NumField())
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "TypeMeta" && f.Name != "ManagedFields" && !v.Field(i).IsZero() {
				full = append(full, i)
			}
		}
		if len(full) > 0 {
			mutate(r, v.Field(rapid.SampledFrom(full).Draw(r, "field")), depth-1)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			mutate(r, v.Index(rapid.IntRange(0, v.Len()-1).Draw(r, "element")), depth-1)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			elem := reflect.New(v.Type().Elem()).Elem()
			elem.Set(v.MapIndex(key))
			mutate(r, elem, depth-1)
			v.SetMapIndex(key, elem)
			return
		}
	}
}
