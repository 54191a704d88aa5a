package clusterroleaggregation

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

// TestPlan plans the first role of each file.
func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		return plan(state{role: plantest.First[*rbacv1.ClusterRole](o), all: plantest.Of[*rbacv1.ClusterRole](o)}, plantest.Now)
	})
}
