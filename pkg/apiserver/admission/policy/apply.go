package policy

import (
	"fmt"
	"strings"

	"bonsai/pkg/apiserver/admission"

	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	smdtyped "sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// configured merges the configuration v into the object, by its schema. Unlike an apply of a client, it leaves no trace in
// managedFields: what it sets is not taken away when the policy is gone.
func configured(v ref.Val, shown runtime.Object, types managedfields.TypeConverter, a *admission.Attributes, form admission.Form) (runtime.Object, error) {
	config, err := configOf(v)
	if err != nil {
		return nil, err
	}
	config.SetGroupVersionKind(form.Kind)
	merged, err := merge(types, shown, config)
	if err == nil {
		merged, err = typed(merged, a, form)
	}
	if err != nil {
		return nil, fmt.Errorf("error applying patch: %w", err)
	}
	return merged, nil
}

// configOf reads an Object{…}.
func configOf(v ref.Val) (*unstructured.Unstructured, error) {
	o, ok := v.(*dynamic.ObjectVal)
	if !ok {
		return nil, fmt.Errorf("unsupported return type from ApplyConfiguration expression: %v", v.Type())
	}
	if err := o.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("type mismatch: %w", err)
	}
	m, ok := o.Value().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("invalid return type: %T", v)
	}
	return &unstructured.Unstructured{Object: m}, nil
}

func merge(types managedfields.TypeConverter, obj runtime.Object, config *unstructured.Unstructured) (runtime.Object, error) {
	want, err := types.ObjectToTyped(config)
	if err != nil {
		return nil, fmt.Errorf("failed to convert patch object to typed object: %w", err)
	}
	if whole := atomics(nil, want.Schema(), want.TypeRef(), want.AsValue()); len(whole) > 0 {
		return nil, fmt.Errorf("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: %v", strings.Join(whole, ", "))
	}
	have, err := types.ObjectToTyped(obj, smdtyped.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("failed to convert original object to typed object: %w", err)
	}
	merged, err := have.Merge(want)
	if err != nil {
		return nil, fmt.Errorf("failed to merge patch: %w", err)
	}
	next, err := types.TypedToObject(merged)
	if err != nil {
		return nil, fmt.Errorf("failed to convert typed object to object: %w", err)
	}
	return next, nil
}

// atomics are the places in v that can only be replaced as a whole: a policy that names a part of one would remove the rest without
// meaning to.
func atomics(at fieldpath.Path, s *schema.Schema, t schema.TypeRef, v value.Value) []string {
	a, ok := s.Resolve(t)
	if !ok {
		return nil
	}
	var found []string
	switch {
	case v.IsMap() && a.Map != nil:
		if a.Map.ElementRelationship == schema.Atomic {
			found = append(found, at.String())
		}
		v.AsMap().Iterate(func(name string, each value.Value) bool {
			if f, ok := a.Map.FindField(name); ok {
				found = append(found, atomics(inner(at, fieldpath.PathElement{FieldName: &name}), s, f.Type, each)...)
			} else {
				found = append(found, atomics(inner(at, fieldpath.PathElement{FieldName: &name}), s, a.Map.ElementType, each)...)
			}
			return true
		})
	case v.IsList() && a.List != nil:
		if a.List.ElementRelationship == schema.Atomic {
			found = append(found, at.String())
		}
		list := v.AsList()
		for i := range list.Length() {
			found = append(found, atomics(inner(at, fieldpath.PathElement{Index: &i}), s, a.List.ElementType, list.At(i))...)
		}
	}
	return found
}

// inner is a path of its own: siblings must not share what is behind it.
func inner(at fieldpath.Path, e fieldpath.PathElement) fieldpath.Path {
	return append(at[:len(at):len(at)], e)
}
