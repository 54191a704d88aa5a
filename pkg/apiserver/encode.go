package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// jsonEncoder returns what makes the JSON of row's objects where none is kept.
func jsonEncoder(row *resource.Row) func(*store.Object) ([]byte, error) {
	return func(o *store.Object) ([]byte, error) {
		obj, err := decodeStored(row, o)
		if err != nil {
			return nil, err
		}
		return resource.EncodeJSON(row.GVK(), obj)
	}
}

// protobufEncoder returns what makes the protobuf of row's objects, in its envelope, where none is kept: mostly it is what is stored.
func protobufEncoder(row *resource.Row) func(*store.Object) ([]byte, error) {
	if row.Kept.Empty() && row.InJSON == nil {
		return splicedProtobuf
	}
	return func(o *store.Object) ([]byte, error) {
		obj, err := decodeStored(row, o)
		if err != nil {
			return nil, err
		}
		return resource.EncodeProtobuf(row.GVK(), obj)
	}
}

func splicedProtobuf(o *store.Object) ([]byte, error) {
	if err := o.Err(); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return resource.SpliceProtobuf(o.Value, o.Rev)
}

// decodeStored decodes o. What was encrypted by a key that this server does not have cannot be.
func decodeStored(row *resource.Row, o *store.Object) (resource.Object, error) {
	if err := o.Err(); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return row.DecodeStorage(o.Value, o.Rev)
}

// reader returns what reads an object's bytes for t and f, which must be f.plain(): the kept ones if t asks for the storage
// version. It is made once for many objects.
func reader(t *target, f format) func(*store.Object) ([]byte, error) {
	if !t.isStorageVersion() {
		return func(o *store.Object) ([]byte, error) {
			obj, err := decodeFor(t, o)
			if err != nil {
				return nil, err
			}
			return encodeAs(format{media: f.media}, t.gvk(), obj)
		}
	}
	form, encode, maker := store.JSON, jsonEncoder(t.row), makerOf(t.row)
	if f.media == mediaProtobuf {
		form, encode = store.Protobuf, protobufEncoder(t.row)
	}
	return func(o *store.Object) ([]byte, error) { return o.FormBy(maker, form, encode) }
}

// makerOf tells the store whose encodings of objects it may give whom: all rows of built-in kinds make the same of theirs.
func makerOf(row *resource.Row) uint64 {
	if row.Custom == nil {
		return 0
	}
	return row.Custom.ID
}

// decodeFor returns o as an object of the version that t asks for.
func decodeFor(t *target, o *store.Object) (resource.Object, error) {
	obj, err := decodeStored(t.row, o)
	if err != nil {
		return nil, err
	}
	return fromStorage(t, obj)
}

// fromStorage converts obj to the version that t asks for, and names its type.
func fromStorage(t *target, obj resource.Object) (resource.Object, error) {
	if t.ver.FromStorage != nil {
		var err error
		if obj, err = t.ver.FromStorage(obj); err != nil {
			return nil, fmt.Errorf("convert %s to %s: %w", t.row.Kind, t.ver.GroupVersion, err)
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(t.gvk())
	return obj, nil
}

// encodeAs encodes any object, whatever the shape was.
func encodeAs(f format, gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	if f.media == mediaProtobuf {
		if _, ok := obj.(runtime.ProtobufMarshaller); !ok {
			return nil, notAcceptable()
		}
		return resource.EncodeProtobuf(gvk, obj)
	}
	b, err := resource.EncodeJSON(gvk, obj)
	if err != nil {
		return nil, err
	}
	return dress(f, b)
}

// dress turns compact JSON into what f asks for: YAML, or JSON that people can read.
func dress(f format, compact []byte) ([]byte, error) {
	switch {
	case f.media == mediaYAML:
		return yaml.JSONToYAML(compact)
	case f.pretty:
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.TrimRight(compact, "\n"), "", "  "); err != nil {
			return nil, err
		}
		return b.Bytes(), nil
	}
	return compact, nil
}

// answer sends the stored object o in the form that the client asks for.
func (s *Server) answer(c *call, code int, o *store.Object) error {
	if c.f.plain() {
		defer s.track(c, &c.took.serialize)()
		b, err := reader(c.t, c.f)(o)
		if err != nil {
			return err
		}
		c.recordResponse(func() ([]byte, error) { return reader(c.t, format{media: mediaJSON})(o) })
		s.send(c, code, c.f, b)
		return nil
	}
	obj, err := decodeFor(c.t, o)
	if err != nil {
		return err
	}
	return s.answerObject(c, code, obj)
}

// answerLive sends obj, which is at the storage version and not in the store: what a dry run would have made.
func (s *Server) answerLive(c *call, code int, obj resource.Object) error {
	obj, err := fromStorage(c.t, obj)
	if err != nil {
		return err
	}
	return s.answerObject(c, code, obj)
}

// answerObject sends obj, which is at the version the client asks for, in any shape.
func (s *Server) answerObject(c *call, code int, obj resource.Object) error {
	transformed := s.track(c, &c.took.transform)
	shaped, gvk, err := s.shaped(c, obj)
	if err != nil {
		return err
	}
	transformed()
	defer s.track(c, &c.took.serialize)()
	b, err := encodeAs(c.f, gvk, shaped)
	if err != nil {
		return err
	}
	c.recordObject(gvk, shaped)
	s.send(c, code, c.f, b)
	return nil
}

// answerOther sends an object that is of no row: a Status, a Scale, a TokenRequest. There are no tables of them.
func (s *Server) answerOther(c *call, code int, gvk schema.GroupVersionKind, obj runtime.Object) error {
	defer s.track(c, &c.took.serialize)()
	sent, as := obj, gvk
	if o, ok := obj.(resource.Object); ok && c.f.shape == partial {
		sent, as = partialOf(c.t.row, o), c.f.as.WithKind("PartialObjectMetadata")
	}
	b, err := encodeAs(c.f, as, sent)
	if err != nil {
		return err
	}
	c.recordObject(gvk, obj)
	s.send(c, code, c.f, b)
	return nil
}

// send writes one whole answer. JSON ends with a newline, unless it is laid out for people, as upstream's does.
func (s *Server) send(c *call, code int, f format, body []byte) {
	var tail []byte
	if f.media == mediaJSON && !f.pretty {
		tail = newline
	}
	s.sendPieces(c, code, f.contentType(), [][]byte{body, tail})
}

var newline = []byte("\n")

// noBody answers a HEAD request's headers only.
func noBody(r *http.Request) bool { return r.Method == http.MethodHead }
