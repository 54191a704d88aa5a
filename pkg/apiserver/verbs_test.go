package apiserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"k": "v"}}
}

// TestLifeOfAnObject goes through every verb with client-go, which speaks protobuf for these kinds by default.
func TestLifeOfAnObject(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	maps := c.client.CoreV1().ConfigMaps("default")

	made, err := maps.Create(ctx, configMap("a"), metav1.CreateOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, made.UID)
	require.NotEmpty(t, made.ResourceVersion)
	require.WithinDuration(t, time.Now(), made.CreationTimestamp.Time, 10*time.Second)
	require.Len(t, made.ManagedFields, 1)

	_, err = maps.Create(ctx, configMap("a"), metav1.CreateOptions{})
	require.True(t, apierrors.IsAlreadyExists(err), err)

	got, err := maps.Get(ctx, "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, made, got)

	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: made.ResourceVersion})
	require.NoError(t, err)
	defer w.Stop()

	got.Data["k"] = "w"
	next, err := maps.Update(ctx, got, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NotEqual(t, made.ResourceVersion, next.ResourceVersion)
	_, err = maps.Update(ctx, got, metav1.UpdateOptions{})
	require.True(t, apierrors.IsConflict(err), err)
	requireEvent(t, w, watch.Modified, next)

	list, err := maps.List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, []corev1.ConfigMap{*next}, list.Items)

	require.NoError(t, maps.Delete(ctx, "a", metav1.DeleteOptions{}))
	e := <-w.ResultChan()
	require.Equal(t, watch.Deleted, e.Type)
	_, err = maps.Get(ctx, "a", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), err)
	require.EqualError(t, err, `configmaps "a" not found`)
}

func requireEvent(t *testing.T, w watch.Interface, kind watch.EventType, obj any) {
	t.Helper()
	e := <-w.ResultChan()
	require.Equal(t, kind, e.Type)
	require.Equal(t, obj, e.Object)
}
