package apiserver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEvictionsShareABudget: however many pods are evicted at once, no more go than the budget has to spare.
func TestEvictionsShareABudget(t *testing.T) {
	const pods, spare = 12, 3
	c, ctx := start(t), context.Background()
	core := c.client.CoreV1().Pods("default")
	for i := range pods {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}
		made, err := core.Create(ctx, pod, metav1.CreateOptions{})
		require.NoError(t, err)
		made.Status.Phase = corev1.PodRunning
		made.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		_, err = core.UpdateStatus(ctx, made, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	budgets := c.client.PolicyV1().PodDisruptionBudgets("default")
	b, err := budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: spare, CurrentHealthy: pods, DesiredHealthy: pods - spare}
	_, err = budgets.UpdateStatus(ctx, b, metav1.UpdateOptions{})
	require.NoError(t, err)

	var evicted atomic.Int32
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() {
			err := core.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: "default"}})
			switch {
			case err == nil:
				evicted.Add(1)
			case !apierrors.IsTooManyRequests(err):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, spare, evicted.Load())
	b, err = budgets.Get(ctx, "web", metav1.GetOptions{})
	require.NoError(t, err)
	require.Zero(t, b.Status.DisruptionsAllowed)
	require.Len(t, b.Status.DisruptedPods, spare)
	require.Equal(t, "kube-apiserver", b.ManagedFields[len(b.ManagedFields)-1].Manager)
}

// TestBudgetsRefuse holds what no status that the server stores can say, and what a transcript does not show.
func TestBudgetsRefuse(t *testing.T) {
	many := map[string]metav1.Time{}
	for i := range disruptedMost + 1 {
		many[fmt.Sprint(i)] = metav1.Time{}
	}
	budget := func(s policyv1.PodDisruptionBudgetStatus) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web", Generation: 2}, Status: s}
	}
	for _, tt := range []struct {
		b              *policyv1.PodDisruptionBudget
		code, after    int32
		message, cause string
	}{
		{budget(policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1}), 429, 10,
			"Cannot evict pod as it would violate the pod's disruption budget.",
			"The disruption budget web is still being processed by the server."},
		{budget(policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 2, DisruptionsAllowed: -1}), 403, 0,
			`poddisruptionbudget.policy "web" is forbidden: pdb disruptions allowed is negative`,
			"The disruption budget web does not allow evicting pods currently: pdb disruptions allowed is negative"},
		{budget(policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 2, DisruptionsAllowed: 1, DisruptedPods: many}), 403, 0,
			`poddisruptionbudget.policy "web" is forbidden: DisruptedPods map too big - too many evictions not confirmed by PDB controller`,
			"The disruption budget web does not allow evicting pods currently: too many pending evictions not confirmed by PDB controller"},
	} {
		_, err := disrupted(tt.b, "p", metav1.Now())
		status := statusOf(err)
		require.Equal(t, tt.code, status.Code)
		require.Equal(t, tt.message, status.Message)
		require.Equal(t, tt.after, status.Details.RetryAfterSeconds)
		require.Equal(t, []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: tt.cause}}, status.Details.Causes)
	}
}
