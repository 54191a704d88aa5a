package resource

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegistryFindsRowsByKey(t *testing.T) {
	specs := &Row{Kind: "Service", Resource: "services", Prefix: "services/specs", Namespaced: true, Versions: []Version{{}}}
	minions := &Row{Kind: "Node", Resource: "nodes", Prefix: "minions", Versions: []Version{{}}}
	r, err := NewRegistry([]*Row{specs, minions})
	require.NoError(t, err)
	for key, want := range map[string]struct {
		row  *Row
		rest string
	}{
		specs.Key("default", "web"):     {specs, "default/web"},
		minions.Key("", "n1"):           {minions, "n1"},
		"/registry/services/other/a/b":  {nil, ""},
		"/registry/minionsandmore/n1":   {nil, ""},
		"/elsewhere/minions/n1":         {nil, ""},
		"/registry/a/services/specs/b":  {nil, ""},
		"/registry/services/specs/ns/":  {specs, "ns/"},
		specs.KeyPrefix(""):             {specs, ""},
		specs.KeyPrefix("default") + "": {specs, "default/"},
	} {
		row, rest, ok := r.ByKey(key)
		require.Equal(t, want.row != nil, ok, key)
		require.Equal(t, want.row, row, key)
		require.Equal(t, want.rest, rest, key)
	}
}

func TestRegistryRefusesTwins(t *testing.T) {
	a := Row{Kind: "A", Resource: "as", Prefix: "as", Versions: []Version{{}}}
	for name, twin := range map[string]Row{
		"two rows are /, Resource=as":              {Kind: "B", Resource: "as", Prefix: "bs", Versions: []Version{{}}},
		"two rows are /, Kind=A":                   {Kind: "A", Resource: "bs", Prefix: "bs", Versions: []Version{{}}},
		"A and B are both kept below /registry/as": {Kind: "B", Resource: "bs", Prefix: "as", Versions: []Version{{}}},
	} {
		_, err := NewRegistry([]*Row{&a, &twin})
		require.ErrorContains(t, err, name)
	}
}

func TestExtract(t *testing.T) {
	r, err := NewRegistry(Table())
	require.NoError(t, err)
	row := configMaps()
	obj := row.StorageVersion().New()
	obj.SetName("n")
	obj.SetNamespace("ns")
	obj.SetLabels(map[string]string{"a": "b"})
	value, err := row.EncodeStorage(obj)
	require.NoError(t, err)

	labels, fields, err := r.Extract(row.Key("ns", "n"), value)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "b"}, labels)
	require.Equal(t, map[string]string{"metadata.name": "n", "metadata.namespace": "ns"}, fields)

	labels, fields, err = r.Extract("/registry/example.com/things/ns/n", []byte(`{}`))
	require.NoError(t, err)
	require.Empty(t, labels)
	require.Empty(t, fields)
}
