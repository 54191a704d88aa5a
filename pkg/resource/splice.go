package resource

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// The resourceVersion of an object is the revision of the transaction that writes it, so nobody knows it when the
// object is encoded. Decoding the object again to set it would cost more than everything else a write does.
// Instead the number is put into the finished bytes, where both encodings have a fixed place for it: metadata is
// the first field after the type (JSON: json.go), and in protobuf an object's own bytes begin with it.

// Field numbers of the messages on the way to the resourceVersion.
const (
	envelopeRaw         = 2 // of runtime.Unknown
	objectMetadata      = 1 // of every kind
	metaResourceVersion = 6 // of metav1.ObjectMeta
)

var errNoMetadata = errors.New("set resourceVersion: the encoding has no metadata")

// SpliceProtobuf returns value, an object as EncodeStorage makes it, with rev as its resourceVersion. The result is
// byte for byte what encoding the object with that resourceVersion gives.
func SpliceProtobuf(value []byte, rev int64) ([]byte, error) {
	body, ok := bytes.CutPrefix(value, magic)
	if !ok {
		return nil, errNoMetadata
	}
	raw, err := find(body, envelopeRaw)
	if err != nil {
		return nil, err
	}
	meta, err := find(body[raw.from:raw.to], objectMetadata)
	if err != nil {
		return nil, err
	}
	meta = meta.within(raw)
	version, err := find(body[meta.from:meta.to], metaResourceVersion)
	if err != nil {
		return nil, err
	}
	version = version.within(meta)

	// Replace the innermost string; each message around it then has a new length to state, so work outwards.
	text := strconv.FormatInt(rev, 10)
	newVersion := len(text) + protowire.SizeVarint(uint64(len(text)))
	newMeta := (meta.to - meta.from) - (version.to - version.length) + newVersion
	newRaw := (raw.to - raw.from) - (meta.to - meta.length) + protowire.SizeVarint(uint64(newMeta)) + newMeta

	out := make([]byte, 0, len(value)+len(text)+8)
	out = append(out, magic...)
	out = append(out, body[:raw.length]...)
	out = protowire.AppendVarint(out, uint64(newRaw))
	out = append(out, body[raw.from:meta.length]...)
	out = protowire.AppendVarint(out, uint64(newMeta))
	out = append(out, body[meta.from:version.length]...)
	out = protowire.AppendString(out, text)
	return append(out, body[version.to:]...), nil
}

// AfterMetadata returns what in value, an object as EncodeStorage makes it, stands behind its metadata; false if value is not in protobuf.
func AfterMetadata(value []byte) ([]byte, bool) {
	body, ok := bytes.CutPrefix(value, magic)
	if !ok {
		return nil, false
	}
	raw, err := find(body, envelopeRaw)
	if err != nil {
		return nil, false
	}
	meta, err := find(body[raw.from:raw.to], objectMetadata)
	if err != nil {
		return nil, false
	}
	return body[raw.from+meta.to : raw.to], true
}

// span is a length-delimited field's place in its message: its length is stated at [length, from), its content is
// [from, to).
type span struct{ length, from, to int }

func (s span) within(outer span) span {
	return span{s.length + outer.from, s.from + outer.from, s.to + outer.from}
}

// find returns the first field number of a message.
func find(message []byte, number protowire.Number) (span, error) {
	for at := 0; at < len(message); {
		n, kind, tag := protowire.ConsumeTag(message[at:])
		if tag < 0 {
			return span{}, fmt.Errorf("set resourceVersion: %w", protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(n, kind, message[at+tag:])
		if size < 0 {
			return span{}, fmt.Errorf("set resourceVersion: %w", protowire.ParseError(size))
		}
		if n == number && kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(message[at+tag:])
			return span{at + tag, at + tag + size - len(content), at + tag + size}, nil
		}
		at += tag + size
	}
	return span{}, errNoMetadata
}
