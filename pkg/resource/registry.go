package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// KeyRoot is what all keys in etcd begin with.
const KeyRoot = "/registry/"

// Registry finds rows: by what a URL names, by what a body says it is, by what etcd calls it. It never changes once
// made, so it needs no lock; With makes another.
type Registry struct {
	rows       []*Row
	byResource map[schema.GroupVersionResource]served
	byKind     map[schema.GroupVersionKind]served
	byPrefix   map[string]*Row
}

// served is one row as one of its versions shows it.
type served struct {
	row     *Row
	version *Version
}

// NewRegistry returns a registry of rows. Two rows that claim the same name are a mistake in the table, and an error.
func NewRegistry(rows []*Row) (*Registry, error) {
	r := &Registry{
		rows:       rows,
		byResource: map[schema.GroupVersionResource]served{},
		byKind:     map[schema.GroupVersionKind]served{},
		byPrefix:   map[string]*Row{},
	}
	for _, row := range rows {
		if err := r.add(row); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// With returns a registry that has custom rows too. A definition is a user's: what it claims and a built-in kind has is the
// built-in kind's, and its row is left out.
func (r *Registry) With(custom []*Row) *Registry {
	w := &Registry{
		rows: slices.Clone(r.rows), byResource: maps.Clone(r.byResource), byKind: maps.Clone(r.byKind), byPrefix: maps.Clone(r.byPrefix),
	}
	for _, row := range custom {
		if w.add(row) == nil {
			w.rows = append(w.rows, row)
		}
	}
	return w
}

func (r *Registry) add(row *Row) error {
	// Reviews are answered, and kept nowhere; the versions of one custom kind share their place.
	other := r.byPrefix[row.Prefix]
	if other != nil && (other.Custom == nil || row.Custom == nil) {
		return fmt.Errorf("table of kinds: %s and %s are both kept below %s%s", other.Kind, row.Kind, KeyRoot, row.Prefix)
	}
	for i := range row.Versions {
		v := &row.Versions[i]
		gvr, gvk := v.WithResource(row.Resource), v.WithKind(row.Kind)
		if _, taken := r.byResource[gvr]; taken {
			return fmt.Errorf("table of kinds: two rows are %s", gvr)
		}
		if _, taken := r.byKind[gvk]; taken {
			return fmt.Errorf("table of kinds: two rows are %s", gvk)
		}
		r.byResource[gvr], r.byKind[gvk] = served{row, v}, served{row, v}
	}
	if row.Prefix != "" && other == nil {
		r.byPrefix[row.Prefix] = row
	}
	return nil
}

// Rows returns all rows, in the order of the table.
func (r *Registry) Rows() []*Row { return r.rows }

// ByResource returns the row, and the version of it, that /apis/GROUP/VERSION/RESOURCE names.
func (r *Registry) ByResource(gvr schema.GroupVersionResource) (*Row, *Version, bool) {
	s, ok := r.byResource[gvr]
	return s.row, s.version, ok
}

// ByKind returns the row, and the version of it, that an object's kind and apiVersion name.
func (r *Registry) ByKind(gvk schema.GroupVersionKind) (*Row, *Version, bool) {
	s, ok := r.byKind[gvk]
	return s.row, s.version, ok
}

// ByKey returns the row that a key in etcd belongs to, and what is left of the key: NAMESPACE/NAME, or NAME.
func (r *Registry) ByKey(key string) (row *Row, rest string, ok bool) {
	path, ok := strings.CutPrefix(key, KeyRoot)
	if !ok {
		return nil, "", false
	}
	// A prefix is one segment ("pods") or two ("services/specs"). No prefix of one segment begins one of two.
	for i, segments := 0, 0; i < len(path) && segments < 2; i++ {
		if path[i] != '/' {
			continue
		}
		if row := r.byPrefix[path[:i]]; row != nil {
			return row, path[i+1:], true
		}
		segments++
	}
	return nil, "", false
}

// Key returns the key in etcd of an object.
func (r *Row) Key(namespace, name string) string {
	return r.KeyPrefix(namespace) + name
}

// KeyPrefix returns what the keys of a namespace's objects begin with; of all objects if namespace is empty.
func (r *Row) KeyPrefix(namespace string) string {
	if r.Namespaced && namespace != "" {
		return KeyRoot + r.Prefix + "/" + namespace + "/"
	}
	return KeyRoot + r.Prefix + "/"
}
