package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// A definition nests as deep as its author wants. A server that walks over all of it must not run out of stack.
func TestDeepDefinitions(t *testing.T) {
	s := startServer(t)
	const path = "POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	for _, depth := range []int{100, 4000, 9000, 200000} {
		want := 422 // other things are wrong with it
		if depth > 10000 {
			want = 400
		}
		got := s.send(path, deepProtobuf(depth), "Content-Type: application/vnd.kubernetes.protobuf")
		require.Equal(t, want, got.code, "%d: %.300s", depth, got.body)
		got = s.send(path, deepJSON(depth))
		require.Equal(t, want, got.code, "%d: %.300s", depth, got.body)
	}
	_, err := s.client.Discovery().ServerVersion()
	require.NoError(t, err)
}

func deepJSON(depth int) []byte {
	return []byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"as.x.com"` +
		`},"spec":{"group":"x.com","versions":[{"name":"v1","schema":{"openAPIV3Schema":` + strings.Repeat(`{"not":`, depth) + `{}` + strings.Repeat(`}`, depth) + `}}]}}`)
}

// deepProtobuf is the same. The lengths grow outward, so it is made from the inside.
func deepProtobuf(depth int) []byte {
	const not = 28
	heads, size := make([][]byte, depth), 0
	for i := range heads {
		heads[i] = protowire.AppendVarint(protowire.AppendTag(nil, not, protowire.BytesType), uint64(size))
		size += len(heads[i])
	}
	var schema []byte
	for i := range heads {
		schema = append(schema, heads[depth-1-i]...)
	}
	field := func(n protowire.Number, parts ...[]byte) []byte {
		var content []byte
		for _, p := range parts {
			content = append(content, p...)
		}
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), content)
	}
	version := field(7, field(1, []byte("v1")), field(4, field(1, schema)))
	object := [][]byte{field(1, field(1, []byte("as.x.com"))), field(2, field(1, []byte("x.com")), version)}
	types := field(1, field(1, []byte("apiextensions.k8s.io/v1")), field(2, []byte("CustomResourceDefinition")))
	return append(append([]byte("k8s\x00"), types...), field(2, object...)...)
}
