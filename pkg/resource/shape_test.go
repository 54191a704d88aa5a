package resource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sibling is obj as another create from its template makes it.
func sibling(obj Object, name string, at time.Time) Object {
	other := obj.DeepCopyObject().(Object)
	other.SetName(name)
	other.SetUID(types.UID("u-" + name))
	other.SetCreationTimestamp(metav1.NewTime(at))
	entries := other.GetManagedFields()
	for i := range entries {
		entries[i].Time = &metav1.Time{Time: at.Add(time.Second)}
	}
	other.SetManagedFields(entries)
	return other
}

func shapeOf(t *testing.T, r *Row, obj Object) string {
	value, err := r.EncodeStorage(obj)
	require.NoError(t, err)
	shape, err := AppendShape(nil, value)
	require.NoError(t, err)
	return string(shape)
}

// TestMould: what a mould makes is byte for byte what encoding makes, objects of one template have one shape, and whatever else differs
// makes another.
func TestMould(t *testing.T) {
	eachKind(t, func(t *testing.T, r *Row, obj Object) {
		if r.InJSON != nil {
			return // shapes are of protobuf
		}
		obj.SetResourceVersion("")
		obj.SetManagedFields([]metav1.ManagedFieldsEntry{
			{Manager: "a", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:time":{},"f:name":{}}`)},
			{Manager: `"time":"`, FieldsV1: metav1.NewFieldsV1(`{"k:{\"time\":\"x\"}":{}}`)},
		})
		if obj.GetAnnotations() == nil {
			obj.SetAnnotations(map[string]string{"name": `"name":"first","uid":"u-first"`, "time": `"managedFields":[{`})
		}
		now := time.Unix(1_800_000_000, 0)
		first, second := sibling(obj, "first", now), sibling(obj, "another-name", now.Add(time.Hour))
		require.Equal(t, shapeOf(t, r, first), shapeOf(t, r, second))

		draft, err := DraftJSON(r.GVK(), first)
		require.NoError(t, err)
		mould, ok := draft.Mould(first)
		require.True(t, ok)
		cast, ok := mould.Cast(second)
		require.True(t, ok)
		want, err := DraftJSON(r.GVK(), second)
		require.NoError(t, err)
		require.Equal(t, string(want.At(7)), string(cast.At(7)))

		labels := map[string]string{"another": "label"}
		for k, v := range second.GetLabels() {
			labels[k] = v
		}
		second.SetLabels(labels)
		require.NotEqual(t, shapeOf(t, r, first), shapeOf(t, r, second))
	})
}

func TestShapeRefusesWhatIsNoObject(t *testing.T) {
	for _, b := range []string{"", "k8s\x00", "k8s\x00\x12", "k8s\x00\x12\x02\x0a\x05", "plain", "k8s\x00\xff\xff\xff"} {
		_, err := AppendShape(nil, []byte(b))
		require.Error(t, err, "%q", b)
	}
}
