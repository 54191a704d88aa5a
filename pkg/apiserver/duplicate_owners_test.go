package apiserver

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDuplicateOwners warns of references that are the same in all; two that name one owner differently are both kept.
func TestDuplicateOwners(t *testing.T) {
	yes := true
	plain := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "n", UID: "u"}
	controlling := plain
	controlling.Controller = &yes
	obj := &corev1.ConfigMap{}
	obj.OwnerReferences = []metav1.OwnerReference{plain, controlling, plain, {Name: "other", UID: "o"}}
	w := httptest.NewRecorder()
	dedupOwners(&call{w: &recorder{ResponseWriter: w}}, obj, duplicateOwners)
	require.Equal(t, []metav1.OwnerReference{plain, controlling, {Name: "other", UID: "o"}}, obj.OwnerReferences)
	require.Contains(t, w.Header().Get("Warning"), "duplicate UID(s) observed: u")
	dedupOwners(&call{w: &recorder{ResponseWriter: httptest.NewRecorder()}}, obj, duplicateOwners)
	require.Len(t, obj.OwnerReferences, 3)
}
