package admission

import (
	"fmt"
	"reflect"

	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// Plugins of this server look at objects as they are stored. What users configure looks at them in a version that it names, and it may
// name another one than the client speaks: whoever wants to know about deployments wants to know about all of them.

// Form is a version of what a request is about: the resource as rules name it, and the kind of the body.
type Form struct {
	Resource schema.GroupVersionResource
	Kind     schema.GroupVersionKind
	version  *resource.Version
}

// Lens shows an object as another, and takes over what has been changed there.
type Lens struct {
	Kind schema.GroupVersionKind
	Show func(obj runtime.Object) runtime.Object
	Take func(shown, into runtime.Object)
}

// Asked is the version that the client speaks.
func (a *Attributes) Asked() *resource.Version {
	if a.Version != nil {
		return a.Version
	}
	return &a.Row.Versions[0]
}

// Form is the one that the client speaks.
func (a *Attributes) Form() Form { return a.FormOf(a.Asked()) }

// FormOf is that of a version of the row.
func (a *Attributes) FormOf(v *resource.Version) Form {
	f := Form{Resource: v.WithResource(a.Row.Resource), Kind: v.WithKind(a.Row.Kind), version: v}
	if body := a.bodyKind(); !body.Empty() {
		f.Kind = body
	}
	return f
}

// bodyKind is the kind of the body, if it is not the row's: that of a Scale, a Binding, an Eviction.
func (a *Attributes) bodyKind() schema.GroupVersionKind {
	if a.Lens != nil {
		return a.Lens.Kind
	}
	if a.Subresource == "" || a.Object == nil {
		return schema.GroupVersionKind{}
	}
	if kind := a.Object.GetObjectKind().GroupVersionKind(); kind.Kind != a.Row.Kind {
		return kind
	}
	return schema.GroupVersionKind{}
}

// Show returns obj, which is Object, Old or nil, in the form f. The result is not to be changed, unless it is copied.
func (a *Attributes) Show(obj runtime.Object, f Form) (runtime.Object, error) {
	switch {
	case obj == nil:
		return nil, nil
	case a.Lens != nil:
		return a.Lens.Show(obj), nil
	case !a.bodyKind().Empty():
		return obj, nil
	}
	if f.version.FromStorage != nil {
		shown, err := f.version.FromStorage(obj.DeepCopyObject().(resource.Object))
		if err != nil {
			return nil, err
		}
		obj = shown
	}
	if obj.GetObjectKind().GroupVersionKind() != f.Kind {
		obj.GetObjectKind().SetGroupVersionKind(f.Kind)
	}
	return obj, nil
}

// New returns an empty object of the form f.
func (a *Attributes) New(f Form) runtime.Object {
	if !a.bodyKind().Empty() {
		shown, _ := a.Show(a.Object, f) // those two never fail
		return reflect.New(reflect.TypeOf(shown).Elem()).Interface().(runtime.Object)
	}
	return f.version.New()
}

// Take makes a.Object what shown, which is in the form f, says, with the defaults of what it leaves out.
func (a *Attributes) Take(shown runtime.Object, f Form) error {
	if kind := shown.GetObjectKind().GroupVersionKind(); !kind.Empty() && kind != f.Kind {
		return fmt.Errorf("admission made a %v of a %v", kind, f.Kind)
	}
	if a.Lens != nil {
		a.Lens.Take(shown, a.Object)
		return nil
	}
	if a.bodyKind().Empty() {
		next, err := a.stored(shown, f)
		if err != nil {
			return err
		}
		shown = next
	}
	a.keepManagedFields(shown)
	into, from := reflect.ValueOf(a.Object), reflect.ValueOf(shown)
	if into.Type() != from.Type() {
		return fmt.Errorf("admission made a %T of a %T", shown, a.Object)
	}
	into.Elem().Set(from.Elem())
	return nil
}

// stored converts shown to the storage version.
func (a *Attributes) stored(shown runtime.Object, f Form) (runtime.Object, error) {
	obj, ok := shown.(resource.Object)
	if !ok {
		return nil, fmt.Errorf("%T has no metadata", shown)
	}
	if f.version.ToStorage != nil {
		var err error
		if obj, err = f.version.ToStorage(obj); err != nil {
			return nil, err
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(a.Row.GVK())
	if u := resource.AsCustom(obj); u != nil && a.Row.Custom != nil {
		if _, err := a.Row.Custom.Coerce(u, false); err != nil {
			return nil, err
		}
	}
	if a.Row.Default != nil {
		a.Row.Default(obj)
	}
	return obj, nil
}

// keepManagedFields puts managedFields back that have been broken: the next apply would fail because of them.
func (a *Attributes) keepManagedFields(shown runtime.Object) {
	next, err := meta.Accessor(shown)
	if err != nil {
		return
	}
	old, err := meta.Accessor(a.Object)
	if err != nil || len(next.GetManagedFields()) == 0 && len(old.GetManagedFields()) == 0 {
		return
	}
	if err := managedfields.ValidateManagedFields(next.GetManagedFields()); err != nil {
		a.Warn(fmt.Sprintf(".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "+
			"admission controller; please fix your requests: %v", err))
		next.SetManagedFields(append([]metav1.ManagedFieldsEntry(nil), old.GetManagedFields()...))
	}
}
