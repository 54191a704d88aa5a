package storageprotection

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

// TestPlan reads a claim or a volume and the pods beside it.
func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		if volumes := plantest.Of[*corev1.PersistentVolume](o); len(volumes) > 0 {
			user, _ := bound(t.Context(), volumes[0])
			return plan(state{object: volumes[0], finalizer: "kubernetes.io/pv-protection", user: user}, plantest.Now)
		}
		claim := plantest.First[*corev1.PersistentVolumeClaim](o)
		pods := cache.NewSharedIndexInformer(nil, &corev1.Pod{}, 0, cache.Indexers{})
		if err := reconcile.Index(pods, byClaim, claimsOf); err != nil {
			t.Fatal(err)
		}
		for _, pod := range plantest.Of[*corev1.Pod](o) {
			if err := pods.GetIndexer().Add(pod); err != nil {
				t.Fatal(err)
			}
		}
		user, err := podOf(pods, fake.NewClientset())(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		return plan(state{object: claim, finalizer: "kubernetes.io/pvc-protection", user: user}, plantest.Now)
	})
}
