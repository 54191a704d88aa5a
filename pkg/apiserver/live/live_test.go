package live

import (
	"context"
	"fmt"
	"testing"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestFollow changes config maps in a real store, more often than a watch that nobody reads survives, and asks now and then.
func TestFollow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	st, err := store.Open(ctx, store.Config{Dir: t.TempDir(), WatchQueue: 8})
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); st.Close() })
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	maps := Follow[*corev1.ConfigMap](Source{Context: ctx, Store: st, Table: table}, schema.GroupResource{Resource: "configmaps"})
	computed := 0
	count := Derive(func() int { computed++; return len(maps.All()) }, maps)
	require.Zero(t, count())

	row, _, _ := table.ByResource(corev1.SchemeGroupVersion.WithResource("configmaps"))
	write := func(name, value string) {
		obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"v": value}}
		bytes, err := row.EncodeStorage(obj)
		require.NoError(t, err)
		made, err := st.Commit(ctx, store.Txn{Put: []store.Put{{Key: row.Key("default", name), Value: bytes}}})
		require.NoError(t, err)
		require.NoError(t, st.Wait(ctx, made[0].Rev))
	}
	for round := range 4 {
		for i := range 5 * (round + 1) {
			write(fmt.Sprint("m", i), fmt.Sprint(round))
		}
		got, ok := maps.Get("default", "m0")
		require.True(t, ok)
		require.Equal(t, fmt.Sprint(round), got.Data["v"])
		require.Equal(t, 5*(round+1), count())
		before := computed
		require.Equal(t, 5*(round+1), count())
		require.Equal(t, before, computed, "computed again without a change")
	}
	_, err = st.Commit(ctx, store.Txn{Delete: []string{row.Key("default", "m0")}})
	require.NoError(t, err)
	at, err := st.Newest(ctx)
	require.NoError(t, err)
	require.NoError(t, st.Wait(ctx, at))
	_, ok := maps.Get("default", "m0")
	require.False(t, ok)
	require.Equal(t, 19, count())
}
