package rbac

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/auth/policy"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"
)

// stored is an authorizer on a real store with the default objects and as many bindings more, half of them in a hundred namespaces.
func stored(t testing.TB, bindings int) (*Authorizer, func(resource.Object)) {
	ctx, cancel := context.WithCancel(context.Background())
	st, err := store.Open(ctx, store.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); st.Close() })
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	var batch []store.Put
	flush := func() {
		made, err := st.Commit(ctx, store.Txn{Put: batch})
		require.NoError(t, err)
		require.NoError(t, st.Wait(ctx, made[0].Rev))
		batch = nil
	}
	put := func(o resource.Object) {
		kind := map[string]string{"*v1.Role": "Role", "*v1.ClusterRole": "ClusterRole", "*v1.RoleBinding": "RoleBinding",
			"*v1.ClusterRoleBinding": "ClusterRoleBinding"}[fmt.Sprintf("%T", o)]
		row, _, _ := table.ByKind(rbacv1.SchemeGroupVersion.WithKind(kind))
		value, err := row.EncodeStorage(o)
		require.NoError(t, err)
		batch = append(batch, store.Put{Key: row.Key(o.GetNamespace(), o.GetName()), Value: value})
		if len(batch) == 100 {
			flush()
		}
	}
	for _, o := range policy.Objects() {
		put(o)
	}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-view"}
	for i := range bindings {
		name, subjects := fmt.Sprintf("b%d", i), []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: fmt.Sprintf("user%d", i)}}
		if i%2 == 0 {
			put(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects})
		} else {
			put(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("ns%d", i%100), Name: name}, RoleRef: ref, Subjects: subjects})
		}
	}
	flush()
	return New(live.Source{Context: ctx, Store: st, Table: table}), func(o resource.Object) { put(o); flush() }
}

func BenchmarkAuthorize(b *testing.B) {
	get := func(user, namespace string) auth.Request {
		return auth.Request{User: auth.User{Name: user, Groups: []string{"devs", "system:authenticated"}}, Verb: "get",
			Resource: "configmaps", Namespace: namespace, Name: "c", IsResource: true}
	}
	for _, n := range []int{10, 1000} {
		a, put := stored(b, n)
		b.Run(fmt.Sprintf("%d/allowed in the cluster", n), func(b *testing.B) { ask(b, a, get("user8", "ns1"), auth.Allow) })
		b.Run(fmt.Sprintf("%d/allowed in the namespace", n), func(b *testing.B) { ask(b, a, get("user7", "ns7"), auth.Allow) })
		b.Run(fmt.Sprintf("%d/refused", n), func(b *testing.B) { ask(b, a, get("nobody", "ns1"), auth.NoOpinion) })
		b.Run(fmt.Sprintf("%d/path", n), func(b *testing.B) {
			ask(b, a, auth.Request{User: get("nobody", "").User, Verb: "get", Path: "/apis/apps/v1"}, auth.Allow)
		})
		b.Run(fmt.Sprintf("%d/after a change", n), func(b *testing.B) {
			for i := range b.N {
				b.StopTimer()
				put(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "changing", Labels: map[string]string{"i": fmt.Sprint(i)}}})
				b.StartTimer()
				_, _, _ = a.Authorize(b.Context(), get("user8", "ns1"))
			}
		})
	}
}

func ask(b *testing.B, a *Authorizer, r auth.Request, want auth.Decision) {
	for range b.N {
		d, _, _ := a.Authorize(b.Context(), r)
		if d != want {
			b.Fatal(d)
		}
	}
}
