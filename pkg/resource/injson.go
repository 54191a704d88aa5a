package resource

import (
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// InJSON is how etcd holds the objects of a kind that upstream serves with a server beside that of the built-in kinds: as JSON, and
// in the case of definitions as the version that the first of those servers had. Protobuf, which such objects may be in from
// before, is read as well.
type InJSON struct {
	// ToKept and FromKept convert between the storage version and Row.Kept, New returns an empty object of that. They are nil if
	// the two are the same. ToKept may not change its argument.
	ToKept   func(Object) (Object, error)
	FromKept func(Object) (Object, error)
	New      func() Object
}

// encodeInJSON returns what etcd holds for obj.
func (r *Row) encodeInJSON(obj Object) ([]byte, error) {
	if r.InJSON.ToKept != nil {
		var err error
		if obj, err = r.InJSON.ToKept(obj); err != nil {
			return nil, fmt.Errorf("convert %s to store it: %w", r.Kind, err)
		}
	}
	value, err := EncodeJSON(r.KeptGVK(), obj)
	return append(value, '\n'), err
}

// decodeInJSON reads a value that is JSON, of the version that is kept or of the storage version.
func (r *Row) decodeInJSON(value []byte) (Object, error) {
	var t runtime.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(value, &t); err != nil {
		return nil, fmt.Errorf("decode stored %s: %w", r.Kind, err)
	}
	kept := t.GroupVersionKind() == r.KeptGVK()
	if !kept && t.GroupVersionKind() != r.GVK() {
		return nil, fmt.Errorf("decode stored %s: the value is a %s of %s", r.Kind, t.Kind, t.APIVersion)
	}
	convert := kept && r.InJSON.FromKept != nil
	obj := r.StorageVersion().New()
	if convert {
		obj = r.InJSON.New()
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(value, obj); err != nil {
		return nil, fmt.Errorf("decode stored %s: %w", r.Kind, err)
	}
	if convert {
		var err error
		if obj, err = r.InJSON.FromKept(obj); err != nil {
			return nil, fmt.Errorf("convert stored %s: %w", r.Kind, err)
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj, nil
}

// definitionScheme converts between the versions of definitions.
var definitionScheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	install.Install(s)
	return s
})

// definitionInJSON keeps definitions as v1beta1, which says once, for all versions, what is the same for each.
func definitionInJSON() *InJSON {
	return &InJSON{
		New: func() Object { return &apiextensionsv1beta1.CustomResourceDefinition{} },
		ToKept: func(obj Object) (Object, error) {
			kept := &apiextensionsv1beta1.CustomResourceDefinition{}
			return kept, throughInternal(obj.DeepCopyObject(), kept)
		},
		FromKept: func(kept Object) (Object, error) {
			definitionScheme().Default(kept)
			d := &apiextensionsv1.CustomResourceDefinition{}
			return d, throughInternal(kept, d)
		},
	}
}

// throughInternal converts a definition to another version of it. The two may share memory afterwards.
func throughInternal(from, to runtime.Object) error {
	internal := &apiextensions.CustomResourceDefinition{}
	if err := definitionScheme().Convert(from, internal, nil); err != nil {
		return err
	}
	return definitionScheme().Convert(internal, to, nil)
}

// normalizeDefinition has d say things as it says them after it was stored: the keys of a default in order, for one. What cannot
// be converted is left for validation.
func normalizeDefinition(d *apiextensionsv1.CustomResourceDefinition) {
	same := &apiextensionsv1.CustomResourceDefinition{}
	if err := throughInternal(d.DeepCopy(), same); err == nil {
		d.Spec = same.Spec
	}
}
