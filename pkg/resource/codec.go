package resource

import (
	"bytes"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// magic begins every value in etcd, and every protobuf body on the wire: "k8s" and a zero byte. What follows is a
// runtime.Unknown: the object's kind and version, and its own bytes.
var magic = []byte("k8s\x00")

// EncodeStorage returns the bytes that etcd holds for obj, whose Go type is that of r's storage version. They carry no
// resourceVersion, because that is the revision of the very transaction that writes them. Callers own obj: while it
// is encoded its resourceVersion is taken out.
func (r *Row) EncodeStorage(obj Object) ([]byte, error) {
	rv := obj.GetResourceVersion()
	obj.SetResourceVersion("")
	defer obj.SetResourceVersion(rv)
	if r.Custom != nil {
		return r.encodeCustom(obj)
	}
	if r.InJSON != nil {
		return r.encodeInJSON(obj)
	}
	return EncodeProtobuf(r.KeptGVK(), obj)
}

// EncodeProtobuf returns obj in the protobuf encoding of Kubernetes. It serves for lists and Status too.
func EncodeProtobuf(gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	m, ok := obj.(runtime.ProtobufMarshaller)
	if !ok {
		return nil, fmt.Errorf("encode %s: %T has no protobuf encoding", gvk.Kind, obj)
	}
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}}
	size := uint64(m.Size())
	// One buffer for everything: 1 byte of tag and at most 10 of length stand before the object's own bytes.
	buf := make([]byte, len(magic)+envelope.Size()+int(size)+11)
	n, err := envelope.NestedMarshalTo(buf[len(magic):], m, size)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", gvk.Kind, err)
	}
	return buf[:copy(buf, magic)+n], nil
}

// DecodeStorage returns the object that a value in etcd is, with rev as its resourceVersion. A value that was
// written in another served version of the kind is converted.
func (r *Row) DecodeStorage(value []byte, rev int64) (Object, error) {
	if r.Custom != nil {
		return r.decodeCustom(value, rev)
	}
	obj, err := r.decodeBuiltIn(value)
	if err != nil {
		return nil, err
	}
	if r.Restore != nil {
		r.Restore(obj)
	}
	obj.SetResourceVersion(strconv.FormatInt(rev, 10))
	return obj, nil
}

// decodeBuiltIn reads a value of a kind that is not custom.
func (r *Row) decodeBuiltIn(value []byte) (Object, error) {
	if r.InJSON != nil && !bytes.HasPrefix(value, magic) {
		return r.decodeInJSON(value)
	}
	envelope, err := open(value)
	if err != nil {
		return nil, fmt.Errorf("decode stored %s: %w", r.Kind, err)
	}
	v := r.version(envelope.TypeMeta)
	if v == nil {
		return nil, fmt.Errorf("decode stored %s: the value is a %s of %s", r.Kind, envelope.Kind, envelope.APIVersion)
	}
	obj := v.New()
	if err := obj.(unmarshaler).Unmarshal(envelope.Raw); err != nil {
		return nil, fmt.Errorf("decode stored %s: %w", r.Kind, err)
	}
	if v.ToStorage != nil {
		if obj, err = v.ToStorage(obj); err != nil {
			return nil, fmt.Errorf("convert stored %s: %w", r.Kind, err)
		}
	}
	return obj, nil
}

// Extract returns the labels and the selectable fields of the value at key, metadata.name and metadata.namespace
// included. Keys and kinds that the table does not know have neither.
func (r *Registry) Extract(key string, value []byte) (labels, fields map[string]string, err error) {
	row, _, ok := r.ByKey(key)
	if !ok && bytes.HasPrefix(value, []byte("{")) {
		return extractCustom(key, value)
	}
	if !ok {
		return nil, nil, nil
	}
	obj, err := row.DecodeStorage(value, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	return obj.GetLabels(), row.FieldSet(obj), nil
}

// FieldSet returns all selectable fields of obj: the row's, metadata.name and, of kinds in namespaces,
// metadata.namespace.
func (r *Row) FieldSet(obj Object) map[string]string {
	set := map[string]string{}
	if r.Fields != nil {
		set = r.Fields(obj)
	}
	set["metadata.name"] = obj.GetName()
	if r.Namespaced {
		set["metadata.namespace"] = obj.GetNamespace()
	}
	return set
}

// version returns the served version that t names, or nil.
func (r *Row) version(t runtime.TypeMeta) *Version {
	if t.Kind != r.Kind {
		return nil
	}
	for i := range r.Versions {
		if r.Versions[i].String() == t.APIVersion {
			return &r.Versions[i]
		}
	}
	if !r.Kept.Empty() && r.Kept.String() == t.APIVersion {
		return &r.Versions[0]
	}
	return nil
}

type unmarshaler interface{ Unmarshal([]byte) error }

// open takes the envelope off a value.
func open(value []byte) (*runtime.Unknown, error) {
	body, ok := bytes.CutPrefix(value, magic)
	if !ok {
		return nil, fmt.Errorf("provided data does not appear to be a protobuf message, expected prefix %v", magic)
	}
	envelope := &runtime.Unknown{}
	if err := envelope.Unmarshal(body); err != nil {
		return nil, err
	}
	return envelope, nil
}

// TypeOf says what kind and version an encoded protobuf body claims to be, and returns its own bytes.
func TypeOf(body []byte) (schema.GroupVersionKind, []byte, error) {
	envelope, err := open(body)
	if err != nil {
		return schema.GroupVersionKind{}, nil, err
	}
	return schema.FromAPIVersionAndKind(envelope.APIVersion, envelope.Kind), envelope.Raw, nil
}
