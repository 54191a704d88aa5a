package apiserver

import (
	"net/http"
	"testing"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// TestAddressesAreRepaired: what a service holds is its own, whoever has written it, and whatever clients delete.
func TestAddressesAreRepaired(t *testing.T) {
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "foreign", Namespace: "default", UID: "1"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ClusterIP: "10.96.0.77", ClusterIPs: []string{"10.96.0.77"},
			Ports: []corev1.ServicePort{{Port: 80, NodePort: 30005}}},
	}
	c := start(t, func(cfg *Config) {
		put, err := Encoder(cfg.Table)("/registry/services/specs/default/foreign", foreign)
		require.NoError(t, err)
		made, err := cfg.Store.Commit(t.Context(), store.Txn{Put: []store.Put{put}})
		require.NoError(t, err)
		require.NoError(t, cfg.Store.Wait(t.Context(), made[0].Rev))
	})
	ctx, addresses, services := t.Context(), c.client.NetworkingV1().IPAddresses(), c.client.CoreV1().Services("default")
	held, err := addresses.Get(ctx, "10.96.0.77", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "foreign", held.Spec.ParentRef.Name)
	resp, body := c.do("POST /api/v1/namespaces/default/services",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"late"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30005}]}}`)
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode, body)
	require.Contains(t, body, "provided port is already allocated")

	w, err := addresses.Watch(ctx, metav1.ListOptions{ResourceVersion: held.ResourceVersion})
	require.NoError(t, err)
	defer w.Stop()
	seen := func(kind watch.EventType, service string) {
		for e := range w.ResultChan() {
			if of := e.Object.(*networkingv1.IPAddress).Spec.ParentRef.Name; of != "kubernetes" {
				require.Equal(t, string(kind)+" "+service, string(e.Type)+" "+of)
				return
			}
		}
		t.Fatal("the watch has ended")
	}
	require.NoError(t, addresses.Delete(ctx, held.Name, metav1.DeleteOptions{}))
	seen(watch.Deleted, "foreign")
	seen(watch.Added, "foreign")
	require.NoError(t, services.Delete(ctx, "foreign", metav1.DeleteOptions{}))
	seen(watch.Deleted, "foreign")
	_, err = services.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "next"}, Spec: foreign.Spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	seen(watch.Added, "next")
}
