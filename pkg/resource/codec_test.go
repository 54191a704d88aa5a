package resource

import (
	"encoding/json"
	"math/rand"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/randfill"
)

// objectsPerKind is how many random objects each property is tried with, per kind.
const objectsPerKind = 30

// filler makes random objects that survive a round trip.
func filler(seed int64) *randfill.Filler {
	return fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed), scheme.Codecs).MaxDepth(12)
}

// random returns a random object of v.
func random(f *randfill.Filler, v Version) Object {
	obj := v.New()
	f.Fill(obj)
	obj.SetManagedFields(nil)
	return obj
}

// eachKind runs check with random objects of each row's storage version.
func eachKind(t *testing.T, check func(t *testing.T, r *Row, obj Object)) {
	for _, row := range Table() {
		t.Run(row.Resource, func(t *testing.T) {
			f := filler(1)
			for range objectsPerKind {
				check(t, row, random(f, row.StorageVersion()))
			}
			check(t, row, row.StorageVersion().New())
		})
	}
}

func TestStorageRoundTrip(t *testing.T) {
	eachKind(t, func(t *testing.T, r *Row, obj Object) {
		if r.ConvertsToStore() {
			return // random definitions are none that the kept version could hold: injson_test.go has real ones
		}
		want := obj.DeepCopyObject().(Object)
		want.SetResourceVersion("7")
		if r.Restore != nil {
			r.Restore(want)
		}
		obj.SetResourceVersion("kept out of etcd, and put back")

		value, err := r.EncodeStorage(obj)
		require.NoError(t, err)
		require.Equal(t, "kept out of etcd, and put back", obj.GetResourceVersion())
		got, err := r.DecodeStorage(value, 7)
		require.NoError(t, err)
		want.GetObjectKind().SetGroupVersionKind(got.GetObjectKind().GroupVersionKind())
		require.True(t, same(want, got), "stored and read again: %s", cmp.Diff(want, got))
	})
}

// TestStorageIsUpstreams holds the bytes in etcd to those that apimachinery's own serializer writes.
func TestStorageIsUpstreams(t *testing.T) {
	for _, info := range scheme.Codecs.SupportedMediaTypes() {
		inJSON := info.MediaType == "application/json"
		if !inJSON && info.MediaType != "application/vnd.kubernetes.protobuf" {
			continue
		}
		eachKind(t, func(t *testing.T, r *Row, obj Object) {
			if (r.InJSON != nil) != inJSON || r.ConvertsToStore() {
				return // of what is converted a golden file tells
			}
			obj.SetResourceVersion("")
			value, err := r.EncodeStorage(obj)
			require.NoError(t, err)
			obj.GetObjectKind().SetGroupVersionKind(r.KeptGVK())
			var want strings.Builder
			require.NoError(t, info.Serializer.Encode(obj, &want))
			require.Equal(t, want.String(), string(value))
		})
	}
}

func TestSpliceIsDecodeSetEncode(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	eachKind(t, func(t *testing.T, r *Row, obj Object) {
		if r.InJSON != nil {
			return // is decoded, and encoded again
		}
		rev := random.Int63() >> random.Intn(63)
		value, err := r.EncodeStorage(obj)
		require.NoError(t, err)
		plain := obj.DeepCopyObject().(Object)
		plain.SetResourceVersion("")
		draft, err := DraftJSON(r.GVK(), plain)
		require.NoError(t, err)

		obj.SetResourceVersion(strconv.FormatInt(rev, 10))
		want, err := EncodeProtobuf(r.KeptGVK(), obj)
		require.NoError(t, err)
		got, err := SpliceProtobuf(value, rev)
		require.NoError(t, err)
		require.Equal(t, want, got)

		want, err = EncodeJSON(r.GVK(), obj)
		require.NoError(t, err)
		got = draft.At(rev)
		require.Equal(t, normal(t, want), normal(t, got))
		require.True(t, strings.HasPrefix(string(got), `{"kind":"`+r.Kind+`","apiVersion":"`), "kind first: %.60s", got)
	})
}

// TestManagedFieldsAreEncodedAsEver holds what is put in as text to what encoding/json makes of it.
func TestManagedFieldsAreEncodedAsEver(t *testing.T) {
	for name, e := range map[string]metav1.ManagedFieldsEntry{
		"usual": {Manager: "kubectl-create", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", FieldsType: "FieldsV1",
			Time: &metav1.Time{Time: time.Unix(1e9, 5)}, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:a":{}}}}`), Subresource: "status"},
		"blanks":         {Manager: "a b", FieldsV1: metav1.NewFieldsV1(` { "f:a" : {} } `)},
		"to escape":      {Manager: "é<\"", FieldsV1: metav1.NewFieldsV1(`{"k:{\"a\":\"x&y\"}":{}}`)},
		"no fields":      {Manager: "m"},
		"empty":          {},
		"zero time":      {Time: &metav1.Time{}, FieldsV1: metav1.NewFieldsV1(`{}`)},
		"another letter": {FieldsV1: metav1.NewFieldsV1("{\"f:\u2028\":{}}")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, entries := range [][]metav1.ManagedFieldsEntry{{e}, {e, {Manager: "other", FieldsV1: metav1.NewFieldsV1("{}")}, e}} {
				obj := &corev1.ConfigMap{Data: map[string]string{"x": `"managedFields":[{}]`}}
				obj.Annotations = map[string]string{"y": `"managedFields":[{}]`}
				obj.ManagedFields = entries
				got, err := EncodeJSON(corev1.SchemeGroupVersion.WithKind("ConfigMap"), obj)
				require.NoError(t, err)
				want, err := json.Marshal(obj)
				require.NoError(t, err)
				require.Equal(t, string(want), string(got))
			}
		})
	}
}

// normal is JSON without the order of its fields.
func normal(t *testing.T, b []byte) any {
	var v any
	require.NoError(t, json.Unmarshal(b, &v), "%s", b)
	return v
}

func TestSpliceRefusesWhatIsNoObject(t *testing.T) {
	for _, b := range []string{"", "k8s\x00", "k8s\x00\x12", "k8s\x00\x12\x02\x0a\x05", "plain", "k8s\x00\xff\xff\xff", `{"kind":"Pod"}`} {
		_, err := SpliceProtobuf([]byte(b), 1)
		require.Error(t, err, "%q", b)
	}
}

func TestDecodeStorageSaysWhatIsWrong(t *testing.T) {
	row := configMaps()
	other, err := EncodeProtobuf(row.GVK().GroupVersion().WithKind("Other"), row.StorageVersion().New())
	require.NoError(t, err)
	for value, want := range map[string]string{
		`{"a":1}`:           `decode stored ConfigMap: provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]`,
		string(other):       `decode stored ConfigMap: the value is a Other of v1`,
		"k8s\x00\x0a\x7fab": "decode stored ConfigMap: unexpected EOF",
	} {
		_, err := row.DecodeStorage([]byte(value), 1)
		require.EqualError(t, err, want)
	}
}
