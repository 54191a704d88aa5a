package resource

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// A schema holds schemas, so whoever writes a definition decides how deep it goes. The JSON decoder has a limit; that of protobuf has
// none, and what it lets in overflows the stack of whoever walks over it next, which ends the process.

// deepest is the JSON decoder's limit.
const deepest = 10000

var errTooDeep = errors.New("exceeded max depth")

// CheckDepth refuses raw, the protobuf encoding of obj, if it nests deeper than any decoder's caller can bear. Kinds that do not
// nest in themselves cost nothing.
func CheckDepth(obj any, raw []byte) error {
	if _, nests := obj.(*apiextensionsv1.CustomResourceDefinition); nests && deeperThan(raw, deepest) {
		return errTooDeep
	}
	return nil
}

// deeperThan tells whether messages nest deeper than most. It knows no types, so it takes texts for messages as far as they could be
// some, which is never far. Every byte is looked at once at most.
func deeperThan(message []byte, most int) bool {
	if most == 0 {
		return true
	}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false // no message
		}
		size := protowire.ConsumeFieldValue(number, kind, message[n:])
		if size < 0 {
			return false
		}
		if kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(message[n:])
			if deeperThan(content, most-1) {
				return true
			}
		}
		message = message[n+size:]
	}
	return false
}
