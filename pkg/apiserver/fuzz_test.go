package apiserver

import (
	"testing"

	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// FuzzClientBytes feeds whatever a client may send to all that takes bytes apart by hand. None of it may panic; a continue token
// that is accepted begins below its prefix.
func FuzzClientBytes(f *testing.F) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "1"}}
	gvk := corev1.SchemeGroupVersion.WithKind("Pod")
	proto, err := resource.EncodeProtobuf(gvk, pod)
	if err != nil {
		f.Fatal(err)
	}
	json, err := resource.EncodeJSON(gvk, pod)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{proto, json, []byte(encodeContinue(7, "/registry/pods/", "/registry/pods/b/a")), []byte("k8s\x00\x12\xff"), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const prefix = "/registry/pods/"
		_, _ = resource.SpliceProtobuf(b, 5)
		_, _ = rawOf(b)
		for m := mediaJSON; m <= mediaProtobuf; m++ {
			var into runtime.Object = &corev1.Pod{}
			_, _, _ = unmarshal(m, b, into, true)
		}
		_, _ = patcher("application/merge-patch+json", b)
		_, _ = patcher("application/json-patch+json", b)
		_ = wishes(string(b))
		if _, after, err := decodeContinue(string(b), prefix); err == nil && len(after) < len(prefix) {
			t.Fatalf("%q begins at %q", b, after)
		}
	})
}
