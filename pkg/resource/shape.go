package resource

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Objects that come from one template differ in their name, their uid and the second they were made in, and in nothing else. Their
// shape is what is left without these; whatever follows from the shape alone need not be worked out for each.

// Field numbers of what is each object's own.
const (
	metaName         = 1 // of metav1.ObjectMeta
	metaUID          = 5
	metaCreated      = 8
	metaManaged      = 17
	managedEntryTime = 4 // of metav1.ManagedFieldsEntry
)

// AppendShape appends the shape of value, an object as EncodeStorage makes it, to buf.
func AppendShape(buf, value []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(value, magic)
	if !ok {
		return buf, errNoMetadata
	}
	raw, err := find(body, envelopeRaw)
	if err != nil {
		return buf, err
	}
	meta, err := find(body[raw.from:raw.to], objectMetadata)
	if err != nil {
		return buf, err
	}
	meta = meta.within(raw)
	buf = append(buf, body[:raw.length]...)
	buf = append(buf, body[raw.from:meta.length]...)
	if buf, err = appendWithout(buf, body[meta.from:meta.to], ownOfMetadata); err != nil {
		return buf, err
	}
	return append(buf, body[meta.to:]...), nil
}

// ownOfMetadata says of a field of ObjectMeta what to leave out: all (nil, true), or parts of it.
func ownOfMetadata(n protowire.Number) (inside ownFields, own bool) {
	switch n {
	case metaName, metaUID, metaCreated:
		return nil, true
	case metaManaged:
		return func(n protowire.Number) (ownFields, bool) { return nil, n == managedEntryTime }, true
	}
	return nil, false
}

type ownFields func(protowire.Number) (inside ownFields, own bool)

// appendWithout appends the fields of a message; of those that are an object's own, only that they are there.
func appendWithout(buf, message []byte, own ownFields) ([]byte, error) {
	for len(message) > 0 {
		n, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return buf, fmt.Errorf("find the shape: %w", protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(n, kind, message[tag:])
		if size < 0 {
			return buf, fmt.Errorf("find the shape: %w", protowire.ParseError(size))
		}
		inside, is := own(n)
		if !is || kind != protowire.BytesType {
			buf = append(buf, message[:tag+size]...)
			message = message[tag+size:]
			continue
		}
		buf = append(buf, message[:tag]...)
		if inside != nil {
			content, _ := protowire.ConsumeBytes(message[tag:])
			var err error
			if buf, err = appendWithout(buf, content, inside); err != nil {
				return buf, err
			}
		}
		message = message[tag+size:]
	}
	return buf, nil
}

// Mould makes the JSON of objects of one shape from that of the first.
type Mould struct {
	// parts stand between what is the object's own, in the order of own. The first ends within metadata, behind which,
	// at meta, is the place of the resourceVersion.
	parts []string
	meta  int
	size  int
}

// own are the texts that are obj's own, in the order of its JSON; false if one of them is not as every stored object has it.
func own(obj metav1.Object) ([]string, bool) {
	created := obj.GetCreationTimestamp()
	texts := []string{quoted("name", obj.GetName()), quoted("uid", string(obj.GetUID())), quoted("creationTimestamp", seconds(created))}
	for _, e := range obj.GetManagedFields() {
		if e.Time == nil || e.Time.IsZero() {
			return nil, false
		}
		texts = append(texts, quoted("time", seconds(*e.Time)))
	}
	return texts, !created.IsZero() && obj.GetName() != "" && obj.GetUID() != ""
}

func quoted(name, value string) string { return `"` + name + `":"` + value + `"` }

func seconds(t metav1.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Mould returns the mould of obj, whose JSON this is. Its name and uid hold nothing that JSON escapes. False means that there is none.
func (j JSON) Mould(obj metav1.Object) (*Mould, bool) {
	texts, ok := own(obj)
	if !ok {
		return nil, false
	}
	m := &Mould{meta: j.meta - j.head}
	rest := string(j.buf[j.head:])
	from := m.meta // name, uid and creationTimestamp are the first fields of metadata of these names
	for i, text := range texts {
		if i == 3 { // the times are those of managedFields, the last of metadata
			from = max(bytes.Index([]byte(rest), []byte(`"managedFields":[{`)), 0)
		}
		at := bytes.Index([]byte(rest[from:]), []byte(text))
		if at < 0 {
			return nil, false
		}
		m.parts = append(m.parts, rest[:from+at])
		rest, from = rest[from+at+len(text):], 0
	}
	m.parts = append(m.parts, rest)
	for _, p := range m.parts {
		m.size += len(p)
	}
	return m, true
}

// Cast returns the JSON of obj, which has the shape of the mould's first.
func (m *Mould) Cast(obj metav1.Object) (JSON, bool) {
	texts, ok := own(obj)
	if !ok || len(texts)+1 != len(m.parts) {
		return JSON{}, false
	}
	size := versionRoom + m.size
	for _, t := range texts {
		size += len(t)
	}
	buf := make([]byte, versionRoom, size)
	for i, t := range texts {
		buf = append(append(buf, m.parts[i]...), t...)
	}
	return JSON{buf: append(buf, m.parts[len(texts)]...), head: versionRoom, meta: versionRoom + m.meta}, true
}
