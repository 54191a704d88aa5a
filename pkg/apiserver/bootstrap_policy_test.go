package apiserver

import (
	"testing"
	"time"

	"bonsai/pkg/apiserver/auth/policy"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A server that starts again adds what somebody took from the policy's objects, puts back a binding that leads elsewhere, and writes
// nothing else.
func TestPolicyIsReconciled(t *testing.T) {
	c := start(t, func(cfg *Config) { cfg.Policy = policy.Objects })
	ctx, rbac := t.Context(), c.client.RbacV1()
	before, err := rbac.ClusterRoles().List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Greater(t, len(before.Items), 70)
	at := c.policyAt()
	require.NoError(t, c.server.ensurePolicy(ctx))
	require.Equal(t, at, c.policyAt(), "something was written though nothing had changed")

	view, err := rbac.ClusterRoles().Get(ctx, "system:aggregate-to-view", metav1.GetOptions{})
	require.NoError(t, err)
	mine := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}
	view.Rules = append(view.Rules[1:], mine)
	_, err = rbac.ClusterRoles().Update(ctx, view, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, rbac.ClusterRoleBindings().Delete(ctx, "system:discovery", metav1.DeleteOptions{}))
	_, err = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "system:discovery"},
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, rbac.RoleBindings("kube-system").Delete(ctx, "system:controller:token-cleaner", metav1.DeleteOptions{}))

	require.NoError(t, c.server.ensurePolicy(ctx))
	view, err = rbac.ClusterRoles().Get(ctx, "system:aggregate-to-view", metav1.GetOptions{})
	require.NoError(t, err)
	require.Contains(t, view.Rules, mine)
	require.Contains(t, view.Rules, rbacv1.PolicyRule{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}})
	discovery, err := rbac.ClusterRoleBindings().Get(ctx, "system:discovery", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "system:discovery", discovery.RoleRef.Name)
	require.Equal(t, "system:authenticated", discovery.Subjects[0].Name)
	_, err = rbac.RoleBindings("kube-system").Get(ctx, "system:controller:token-cleaner", metav1.GetOptions{})
	require.NoError(t, err)
}

// policyAt is when each object of the policy was written last. What else a server writes at its start may come at any time.
func (c *cluster) policyAt() map[string]int64 {
	written := map[string]int64{}
	for _, kind := range []string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"} {
		page, err := c.store.List(c.t.Context(), "/registry/"+kind+"/", store.ReadAt{}, store.ListOptions{})
		require.NoError(c.t, err)
		require.NotEmpty(c.t, page.Objects)
		for _, o := range page.Objects {
			written[o.Key] = o.Rev
		}
	}
	return written
}

// BenchmarkPolicy is what the policy costs a start: the first one, which writes all of it, and the next.
func BenchmarkPolicy(b *testing.B) {
	var first, next time.Duration
	for range b.N {
		c := start(b)
		c.server.cfg.Policy = policy.Objects
		t := time.Now()
		require.NoError(b, c.server.ensurePolicy(b.Context()))
		first += time.Since(t)
		t = time.Now()
		require.NoError(b, c.server.ensurePolicy(b.Context()))
		next += time.Since(t)
	}
	b.ReportMetric(float64(first.Microseconds())/float64(b.N), "µs/first")
	b.ReportMetric(float64(next.Microseconds())/float64(b.N), "µs/next")
}
