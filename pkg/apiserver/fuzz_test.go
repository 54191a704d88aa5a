package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The fuzz targets of this package feed whatever a client may send to what takes it apart, without a store behind it: bodies
// (fuzz_body_test.go), patches (fuzz_patch_test.go), selectors and paths (fuzz_path_test.go), and here the rest. Their seeds are
// tests like any other.

// bench is a server without a store, and the kinds that it serves.
type bench struct {
	*Server
	kinds *kinds
}

func newBench(f testing.TB) *bench {
	f.Helper()
	table, err := resource.NewRegistry(resource.Table())
	if err != nil {
		f.Fatal(err)
	}
	return &bench{&Server{fields: newFieldTracker(func() time.Time { return time.Unix(7, 0) })}, &kinds{table: table}}
}

// call is a request for the objects of a version of a kind.
func (b *bench) call(row *resource.Row, ver *resource.Version, verb, name string) *call {
	t := &target{isResource: true, verb: verb, group: ver.Group, version: ver.Version, resource: row.Resource, name: name, row: row, ver: ver}
	if row.Namespaced {
		t.namespace = "default"
	}
	return &call{t: t, kinds: b.kinds, r: httptest.NewRequest(http.MethodGet, "/", nil), w: &recorder{ResponseWriter: httptest.NewRecorder()}}
}

// pick chooses a version of a kind by numbers, whatever they are.
func (b *bench) pick(kind, version uint8) (*resource.Row, *resource.Version) {
	rows := b.kinds.table.Rows()
	row := rows[int(kind)%len(rows)]
	return row, &row.Versions[int(version)%len(row.Versions)]
}

// FuzzClientBytes feeds whatever a client may send to all that takes bytes apart by hand. None of it may panic; a continue token
// that is accepted begins below its prefix, and is what its page would be told again.
func FuzzClientBytes(f *testing.F) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "1"}}
	gvk := corev1.SchemeGroupVersion.WithKind("Pod")
	proto, err := resource.EncodeProtobuf(gvk, pod)
	if err != nil {
		f.Fatal(err)
	}
	const prefix = "/registry/pods/"
	for _, seed := range [][]byte{
		proto, []byte(encodeContinue(7, prefix, prefix+"b/a")), []byte(encodeContinue(-1, prefix, prefix+"b/a")), []byte("k8s\x00\x12\xff"), nil,
		[]byte("application/json;as=Table;v=v1;g=meta.k8s.io;q=0.5, */*;q=NaN, application/vnd.kubernetes.protobuf"),
		[]byte("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Nywic3RhcnQiOiIuLi8uLi9zZWNyZXRzIn0"), []byte("bnVsbA"), []byte("!"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = resource.SpliceProtobuf(b, 5)
		_, _ = rawOf(b)
		_ = checkAliases(b)
		for _, w := range wishes(string(b)) {
			if format, ok := w.format([]shape{asTable, partial}); ok {
				_ = format.contentType()
			}
		}
		rev, after, err := decodeContinue(string(b), prefix)
		if err != nil {
			return
		}
		if len(after) < len(prefix) || after[:len(prefix)] != prefix {
			t.Fatalf("%q begins at %q", b, after)
		}
		if again, same, err := decodeContinue(encodeContinue(rev, prefix, after), prefix); err != nil || again != rev || same != after {
			t.Fatalf("%q is %d %q, then %d %q, %v", b, rev, after, again, same, err)
		}
	})
}
