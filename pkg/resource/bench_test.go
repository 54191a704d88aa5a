package resource

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// BenchmarkCreatePod is what the row does for a create of a pod as clusters have them, which is valid: every part for itself, and all.
func BenchmarkCreatePod(b *testing.B) {
	doc, err := os.ReadFile("testdata/pods/bench.yaml")
	require.NoError(b, err)
	var fresh corev1.Pod
	require.NoError(b, yaml.UnmarshalStrict(doc, &fresh))
	r, ready := pods(), fresh.DeepCopy()
	r.Default(ready)
	r.PrepareCreate(ready)
	require.Empty(b, r.Validate(ready))
	require.Empty(b, r.Warnings(ready, nil))
	part := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				f()
			}
		})
	}
	part("copy", func() { fresh.DeepCopy() })
	part("copy+default+prepare", func() {
		p := fresh.DeepCopy()
		r.Default(p)
		r.PrepareCreate(p)
	})
	part("validate", func() { r.Validate(ready) })
	part("warnings", func() { r.Warnings(ready, nil) })
	part("fields", func() { r.FieldSet(ready) })
}
