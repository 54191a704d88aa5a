package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// Custom is what a row has in addition if its kind is defined by a CustomResourceDefinition. The objects of such a kind are
// *unstructured.Unstructured, and JSON in etcd. Each served version of the kind has a row of its own, with that one version, since
// every version has its own schema, columns and subresources; the rows share their place in etcd, and convert between the version
// that is stored and theirs when they read and write.
type Custom struct {
	// ID is no other row's. What one row has made of stored bytes is not what another makes of them: the schema decides.
	ID uint64
	// ListKind is the kind of a list.
	ListKind string
	// Stored is the version that etcd holds.
	Stored schema.GroupVersion
	// Coerce cuts off what the schema of the row's version does not know, and returns the paths of that if report is set. It
	// fails if the metadata are no metadata.
	Coerce func(u *unstructured.Unstructured, report bool) (unknown []string, err error)
	// FromStored makes an object of the row's version of what etcd holds, which may be of any version and older than the
	// schema. It may change its argument.
	FromStored func(*unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Convert returns an object at another of the kind's versions, and leaves its argument as it is.
	Convert func(*unstructured.Unstructured, schema.GroupVersion) (*unstructured.Unstructured, error)
	// CheckUpdate is the row's ValidateUpdate or, for the status, its Status.Validate, and warns of what is let be only because
	// it was wrong before.
	CheckUpdate func(next, old Object, status bool, warn func(string)) field.ErrorList
	// Terminating tells whether the definition is being deleted: then nothing is made of the kind any longer.
	Terminating func() bool
	// Others are the kind's other served versions, each converting from and to the row's, in the order of the definition.
	Others []Version
	// Types is the schema for those who note and merge the owners of fields.
	Types managedfields.TypeConverter
	// Models describe the kind for the OpenAPI documents.
	Models CustomModels
}

// CustomModels are the definitions of a kind in OpenAPI, encoded: of the object and of its list.
type CustomModels struct {
	// Object and List are their names.
	Object, List string
	// V2 and V3 make the definitions of both, by name.
	V2, V3 func() (map[string]json.RawMessage, error)
}

// AsCustom is obj as the objects of custom kinds are; nil if it is of another kind.
func AsCustom(obj any) *unstructured.Unstructured {
	u, _ := obj.(*unstructured.Unstructured)
	return u
}

// ConvertsToStore tells whether what is stored of an object is another version than the row's, so that only what both know of it stays.
func (r *Row) ConvertsToStore() bool {
	return r.Custom != nil && r.Custom.Stored != r.Versions[0].GroupVersion || r.InJSON != nil && r.InJSON.ToKept != nil
}

// EveryVersion are all in which a client may speak of the row's objects: for a custom kind the other versions are rows of their own.
func (r *Row) EveryVersion() []Version {
	if r.Custom == nil {
		return r.Versions
	}
	return slices.Concat(r.Versions, r.Custom.Others)
}

// ListKind is the kind of a list of the row's objects.
func (r *Row) ListKind() string {
	if r.Custom != nil {
		return r.Custom.ListKind
	}
	return r.Kind + "List"
}

func (r *Row) encodeCustom(obj Object) ([]byte, error) {
	u := AsCustom(obj)
	stored, err := r.Custom.Convert(u, r.Custom.Stored)
	if err != nil {
		return nil, err
	}
	return encodeUnstructured(r.Custom.Stored.WithKind(r.Kind), stored, 0)
}

// decodeCustom is DecodeStorage for custom kinds.
func (r *Row) decodeCustom(value []byte, rev int64) (Object, error) {
	u := &unstructured.Unstructured{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(value, &u.Object); err != nil {
		return nil, fmt.Errorf("decode stored %s: %w", r.Kind, err)
	}
	if u.Object == nil {
		return nil, fmt.Errorf("decode stored %s: the value is no object", r.Kind)
	}
	u, err := r.Custom.FromStored(u)
	if err != nil {
		return nil, err
	}
	u.SetResourceVersion(strconv.FormatInt(rev, 10))
	return u, nil
}

// encodeUnstructured writes apiVersion, kind and metadata first: that is where DraftJSON looks for them. The other fields follow
// in the order of their names.
func encodeUnstructured(gvk schema.GroupVersionKind, u *unstructured.Unstructured, room int) ([]byte, error) {
	if u.Object == nil {
		u.Object = map[string]any{}
	}
	u.SetGroupVersionKind(gvk)
	if _, ok := u.Object["metadata"]; !ok {
		u.Object["metadata"] = map[string]any{}
	}
	first := []string{"apiVersion", "kind", "metadata"}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(u.Object)), func(k string) bool { return slices.Contains(first, k) })
	var b bytes.Buffer
	b.Write(make([]byte, room))
	for i, name := range append(first, rest...) {
		b.WriteByte("{,"[min(i, 1)])
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(u.Object[name])
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", gvk.Kind, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// extractCustom returns what selectors see of a stored object of a custom kind. The store reads its objects before anybody knows
// which kinds are defined, so this is what is true of all of them; fields that a definition makes selectable are read when
// somebody selects by them.
func extractCustom(key string, value []byte) (labels, fields map[string]string, err error) {
	var o struct {
		Metadata struct {
			Name, Namespace string
			Labels          map[string]string
		}
	}
	if err := json.Unmarshal(value, &o); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	if o.Metadata.Name == "" {
		return nil, nil, nil // something else than an object
	}
	return o.Metadata.Labels, customFields(o.Metadata.Name, o.Metadata.Namespace), nil
}

// KeptFields are those of the FieldSet that the store keeps with the object.
func (r *Row) KeptFields(obj Object) map[string]string {
	if r.Custom != nil {
		return customFields(obj.GetName(), obj.GetNamespace())
	}
	return r.FieldSet(obj)
}

func customFields(name, namespace string) map[string]string {
	set := map[string]string{"metadata.name": name}
	if namespace != metav1.NamespaceNone {
		set["metadata.namespace"] = namespace
	}
	return set
}
