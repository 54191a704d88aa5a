package resourcequota

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/pkg/quota"
	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

// TestPlan reads a quota and what is in its namespace. Nobody serves widgets.
func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		s := state{quota: plantest.First[*corev1.ResourceQuota](o)}
		for _, r := range quota.Counted(s.quota.Spec.Hard) {
			m, _ := quota.For(r)
			t := tally{meter: m}
			switch r {
			case schema.GroupResource{Group: "example.com", Resource: "widgets"}:
				s.unknown = append(s.unknown, r)
				continue
			case schema.GroupResource{Resource: "pods"}:
				t.objects = objects(plantest.Of[*corev1.Pod](o))
			case schema.GroupResource{Resource: "services"}:
				t.objects = objects(plantest.Of[*corev1.Service](o))
			case schema.GroupResource{Resource: "persistentvolumeclaims"}:
				t.objects = objects(plantest.Of[*corev1.PersistentVolumeClaim](o))
			case schema.GroupResource{Resource: "secrets"}:
				t.number = int64(len(plantest.Of[*corev1.Secret](o)))
			}
			s.tallies = append(s.tallies, t)
		}
		return plan(s, plantest.Now)
	})
}

func objects[T quota.Object](list []T) (out []quota.Object) {
	for _, o := range list {
		out = append(out, o)
	}
	return out
}

// What is charged is not counted again at once; what is limited is.
func TestLimitsChanged(t *testing.T) {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}}
	charged, noted := q.DeepCopy(), q.DeepCopy()
	charged.Status.Used = corev1.ResourceList{"pods": {}}
	noted.Status.Hard = corev1.ResourceList{"pods": {}}
	if limitsChanged(q, charged) || !limitsChanged(q, noted) {
		t.Error("a charge wakes, or a limit does not")
	}
}

// A pod that is given a deadline goes from one quota to the other. Nothing else of it has changed.
func TestDeadlineMovesAPod(t *testing.T) {
	m, _ := quota.For(schema.GroupResource{Resource: "pods"})
	old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	next := old.DeepCopy()
	next.Spec.ActiveDeadlineSeconds = new(int64)
	for scope, less := range map[corev1.ResourceQuotaScope]bool{
		corev1.ResourceQuotaScopeNotTerminating: true, corev1.ResourceQuotaScopeTerminating: true, corev1.ResourceQuotaScopeNotBestEffort: false,
	} {
		q := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{
			Hard: corev1.ResourceList{corev1.ResourcePods: {}}, Scopes: []corev1.ResourceQuotaScope{scope}}}
		if usesLess(m, q, old, next) != less {
			t.Errorf("%s: wakes %t", scope, !less)
		}
		if usesLess(m, q, old, old.DeepCopy()) {
			t.Errorf("%s: nothing has changed", scope)
		}
	}
}
