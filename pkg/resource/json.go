package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// An object's managedFields are half of its JSON, and they come as JSON already. encoding/json reads such text again, letter
// by letter, to make sure that it is compact; that took more time than the rest of the object. Instead one empty entry
// is encoded in their place, and that is replaced by the text as it is.

// JSON is the encoding of an object that has no resourceVersion yet, with room for one.
type JSON struct {
	buf []byte
	// head is where the object begins, behind the room; meta is where the fields of its metadata begin.
	head, meta int
}

// versionRoom is enough for the longest resourceVersion: `"resourceVersion":"9223372036854775807",`.
const versionRoom = 40

// DraftJSON encodes obj, which has no resourceVersion, kind and apiVersion first. Callers own obj: its kind and apiVersion are set.
func DraftJSON(gvk schema.GroupVersionKind, obj Object) (JSON, error) {
	const metadata = `"metadata":{`
	buf, err := encodeJSON(gvk, obj, versionRoom)
	if err != nil {
		return JSON{}, err
	}
	// Before metadata stand only kind and apiVersion, whose values cannot contain this text.
	at := bytes.Index(buf, []byte(metadata))
	if at < 0 {
		return JSON{}, errNoMetadata
	}
	return JSON{buf: buf, head: versionRoom, meta: at + len(metadata)}, nil
}

// At returns the object's JSON with rev as its resourceVersion. It can be called once: it moves what stands before the place of
// the version into the room in front, so that the rest is not copied.
func (j JSON) At(rev int64) []byte {
	var field [versionRoom]byte
	text := append(field[:0], `"resourceVersion":"`...)
	text = append(strconv.AppendInt(text, rev, 10), '"')
	if j.buf[j.meta] != '}' {
		text = append(text, ',')
	}
	start := j.head - len(text)
	n := copy(j.buf[start:], j.buf[j.head:j.meta])
	copy(j.buf[start+n:], text)
	return j.buf[start:]
}

// EncodeJSON returns obj in JSON, kind and apiVersion first, without a newline at the end. Callers own obj: its kind
// and apiVersion are set.
func EncodeJSON(gvk schema.GroupVersionKind, obj runtime.Object) ([]byte, error) {
	return encodeJSON(gvk, obj, 0)
}

// encodeJSON leaves room bytes free in front.
func encodeJSON(gvk schema.GroupVersionKind, obj runtime.Object, room int) ([]byte, error) {
	if u := AsCustom(obj); u != nil {
		return encodeUnstructured(gvk, u, room)
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	var entries []metav1.ManagedFieldsEntry
	if o, ok := obj.(metav1.ObjectMetaAccessor); ok { // a struct with metadata, not a map
		meta := o.GetObjectMeta()
		if entries = meta.GetManagedFields(); len(entries) > 0 {
			meta.SetManagedFields(stand)
			defer meta.SetManagedFields(entries)
		}
	}
	e := encoders.Get().(*jsonEncoder)
	defer encoders.Put(e)
	e.out.Reset()
	if err := e.Encode(obj); err != nil {
		return nil, fmt.Errorf("encode %s: %w", gvk.Kind, err)
	}
	b := bytes.TrimSuffix(e.out.Bytes(), []byte("\n"))
	if len(entries) == 0 {
		return append(make([]byte, room, room+len(b)), b...), nil
	}
	return withManagedFields(b, entries, room)
}

// jsonEncoder keeps its buffer.
type jsonEncoder struct {
	out bytes.Buffer
	*json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &jsonEncoder{}
	e.Encoder = json.NewEncoder(&e.out)
	return e
}}

// stand is encoded in place of managedFields, as standText. No object has this text anywhere before: metadata comes first, and
// in a string the quotation marks would be escaped.
var stand = []metav1.ManagedFieldsEntry{{}}

const standText = `"managedFields":[{}]`

// withManagedFields returns b with entries in the place of stand, and room in front.
func withManagedFields(b []byte, entries []metav1.ManagedFieldsEntry, room int) ([]byte, error) {
	at := bytes.Index(b, []byte(standText))
	if at < 0 {
		return nil, errNoMetadata
	}
	size := room + len(b)
	for i := range entries {
		size += 256
		if f := entries[i].FieldsV1; f != nil {
			size += f.Size()
		}
	}
	out := append(make([]byte, room, size), b[:at]...)
	out = append(out, `"managedFields":[`...)
	for i := range entries {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendEntry(out, &entries[i]); err != nil {
			return nil, fmt.Errorf("encode managedFields: %w", err)
		}
	}
	out = append(out, ']')
	return append(out, b[at+len(standText):]...), nil
}

// appendEntry appends e as encoding/json does. What is simple is all that the field manager ever writes.
func appendEntry(out []byte, e *metav1.ManagedFieldsEntry) ([]byte, error) {
	if !simple(e) {
		b, err := json.Marshal(e)
		return append(out, b...), err
	}
	out = append(out, '{')
	out = appendField(out, "manager", e.Manager)
	out = appendField(out, "operation", string(e.Operation))
	out = appendField(out, "apiVersion", e.APIVersion)
	if e.Time != nil {
		out = append(out, `"time":"`...)
		out = e.Time.UTC().AppendFormat(out, "2006-01-02T15:04:05Z")
		out = append(out, `",`...)
	}
	out = appendField(out, "fieldsType", e.FieldsType)
	out = append(out, `"fieldsV1":`...)
	out = append(out, e.FieldsV1.GetRawBytes()...)
	out = append(out, ',')
	out = appendField(out, "subresource", e.Subresource)
	out[len(out)-1] = '}'
	return out, nil
}

func appendField(out []byte, name, value string) []byte {
	if value == "" {
		return out
	}
	out = append(append(append(out, '"'), name...), `":"`...)
	return append(append(out, value...), `",`...)
}

// simple reports whether e's texts can stand in JSON as they are: letters that encoding/json neither escapes nor, in what is
// JSON already, leaves out.
func simple(e *metav1.ManagedFieldsEntry) bool {
	if e.FieldsV1 == nil || e.Time != nil && (e.Time.IsZero() || e.Time.Year() > 9999 || e.Time.Year() < 0) {
		return false
	}
	for _, s := range []string{e.Manager, string(e.Operation), e.APIVersion, e.FieldsType, e.Subresource} {
		for i := range len(s) {
			if c := s[i]; !plain[c] || c == '"' || c == '\\' {
				return false
			}
		}
	}
	raw := e.FieldsV1.GetRawBytes()
	if len(raw) < 2 || raw[0] != '{' || raw[len(raw)-1] != '}' {
		return false
	}
	for _, c := range raw {
		if !plain[c] {
			return false
		}
	}
	return true
}

// plain are the printable letters of ASCII but blanks and what encoding/json escapes for the sake of HTML.
var plain = func() (t [256]bool) {
	for c := '!'; c <= '~'; c++ {
		t[c] = c != '<' && c != '>' && c != '&'
	}
	return t
}()
