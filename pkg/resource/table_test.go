package resource

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes/scheme"
)

var knownVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// TestEveryRowIsComplete holds what a reader of a new row may forget.
func TestEveryRowIsComplete(t *testing.T) {
	_, err := NewRegistry(Table())
	require.NoError(t, err)
	word := regexp.MustCompile(`^[a-z]+$`)
	for _, r := range Table() {
		t.Run(r.Resource, func(t *testing.T) {
			require.Regexp(t, word, r.Resource)
			require.Equal(t, strings.ToLower(r.Kind), r.Singular)
			require.NotEmpty(t, r.Prefix)
			require.NotNil(t, r.Validate)
			require.NotNil(t, r.ValidateUpdate)
			require.Subset(t, knownVerbs, r.Verbs)
			for i, v := range r.Versions {
				checkVersion(t, r, v, i == 0)
			}
			for _, s := range r.Subresources {
				require.NotEmpty(t, s.Kind, s.Name)
				require.NotEmpty(t, s.Verbs, s.Name)
			}
			if r.Status != nil {
				require.NotNil(t, r.Status.Prepare)
				require.NotNil(t, r.Status.Validate)
			}
			checkColumns(t, r)
		})
	}
}

// checkVersion holds a version's functions to the Go types that the clients know for it.
func checkVersion(t *testing.T, r *Row, v Version, storage bool) {
	for kind, made := range map[string]any{r.Kind: v.New(), r.Kind + "List": v.NewList()} {
		want, err := scheme.Scheme.New(v.WithKind(kind))
		require.NoError(t, err)
		require.IsType(t, want, made)
	}
	_, err := meta.ListAccessor(v.NewList())
	require.NoError(t, err)
	require.Equal(t, storage, v.ToStorage == nil, "converts unless it is the storage version")
	require.Equal(t, storage, v.FromStorage == nil, "converts unless it is the storage version")
	fields := r.FieldSet(r.StorageVersion().New())
	for _, name := range v.FieldNames {
		require.Contains(t, fields, name)
	}
}

// TestConversionsLoseNothing: what is written in one version is read the same in it.
func TestConversionsLoseNothing(t *testing.T) {
	for _, r := range Table() {
		for _, v := range r.Versions[1:] {
			f := filler(4)
			for range objectsPerKind {
				want := random(f, v)
				stored, err := v.ToStorage(want.DeepCopyObject().(Object))
				require.NoError(t, err)
				got, err := v.FromStorage(stored)
				require.NoError(t, err)
				got.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind())
				if r.Kind == "HorizontalPodAutoscaler" { // says its status twice, in fields and annotations
					got.SetAnnotations(withoutCarried(got.GetAnnotations()))
					want.SetAnnotations(withoutCarried(want.GetAnnotations()))
				}
				require.Equal(t, want, got)
			}
		}
	}
}

// checkColumns holds Cells to Columns, also for objects with nothing or anything in them.
func checkColumns(t *testing.T, r *Row) {
	require.NotEmpty(t, r.Columns)
	if r.Resource != "storageversionmigrations" { // which has a name without a format
		require.Equal(t, "name", r.Columns[nameIndex(r)].Format)
	}
	f := filler(3)
	for i := range objectsPerKind {
		obj := r.StorageVersion().New()
		if i > 0 {
			obj = random(f, r.StorageVersion())
		}
		cells := r.Cells(obj, time.Unix(1e9, 0))
		if r.Resource == "ipaddresses" { // its age has no column
			cells = cells[:len(cells)-1]
		}
		require.Len(t, cells, len(r.Columns))
		for i, cell := range cells {
			checkCell(t, r.Columns[i].Type, cell)
		}
	}
	for _, c := range r.Columns {
		if r.Resource != "runtimeclasses" { // whose handler upstream does not describe
			require.NotEmpty(t, c.Description, "column %s", c.Name)
		}
	}
}

// nameIndex is the column with the object's name: the first, but for events.
func nameIndex(r *Row) int {
	if r.Resource == "events" {
		return len(r.Columns) - 1
	}
	return 0
}

func checkCell(t *testing.T, columnType string, cell any) {
	switch columnType {
	case "string":
		switch cell.(type) {
		case string, int64, bool:
		default:
			require.Failf(t, "cell", "%T in a column of strings", cell)
		}
	case "integer", "number":
		require.IsType(t, int64(0), cell)
	case "date":
		require.IsType(t, "", cell)
	case "boolean":
		switch cell.(type) {
		case bool, string: // "<unset>"
		default:
			require.Failf(t, "cell", "%T in a column of booleans", cell)
		}
	default:
		require.Failf(t, "column", "type %q", columnType)
	}
}

func TestDefaultsAreIdempotent(t *testing.T) {
	eachKind(t, func(t *testing.T, r *Row, obj Object) {
		if r.Default == nil {
			return
		}
		r.Default(obj)
		once := obj.DeepCopyObject()
		r.Default(obj)
		require.True(t, same(once, obj))
	})
}

// TestRulesCopeWithAnything: no object that decodes may panic a rule.
func TestRulesCopeWithAnything(t *testing.T) {
	var old Object
	eachKind(t, func(t *testing.T, r *Row, obj Object) {
		if old == nil || !sameType(old, obj) {
			old = r.StorageVersion().New()
		}
		call(r, obj, old)
		old = obj
	})
}

func sameType(a, b Object) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

// call calls every rule of a row.
func call(r *Row, obj, old Object) {
	if r.PrepareCreate != nil {
		r.PrepareCreate(obj.DeepCopyObject().(Object))
	}
	if r.PrepareUpdate != nil {
		r.PrepareUpdate(obj.DeepCopyObject().(Object), old)
	}
	r.Validate(obj)
	r.ValidateUpdate(obj, old)
	if r.Status != nil {
		r.Status.Prepare(obj.DeepCopyObject().(Object), old)
		r.Status.Validate(obj, old)
		if r.Status.ValidateSigned != nil {
			r.Status.ValidateSigned(obj, old, signature)
		}
		if r.Status.Sign != nil {
			r.Status.Sign(obj.DeepCopyObject().(Object), old, signature)
		}
	}
	if r.Sign != nil {
		r.Sign(obj.DeepCopyObject().(Object), signature)
	}
	if r.Warnings != nil {
		r.Warnings(obj, nil)
		r.Warnings(obj, old)
	}
	r.FieldSet(obj)
	if r.Grace != nil {
		r.Grace(obj, nil)
	}
	if r.TTL != nil {
		r.TTL(obj)
	}
	if r.PrepareDelete != nil {
		r.PrepareDelete(obj.DeepCopyObject().(Object))
	}
	if r.Held != nil {
		r.Held(obj)
	}
}
