package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What clients have done is where dashboards look for it: by upstream's verbs, and the parts behind the requests by their own counters.
func TestMetricsOfWhatWasDone(t *testing.T) {
	s := startServer(t)
	ctx, core := t.Context(), s.client.CoreV1()
	_, err := core.Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "counted"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = core.Services("default").Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "counted"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, core.Secrets("default").DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	requests := func(labels string) string {
		return s.metric(`apiserver_request_total{code="` + labels + `,version="v1"}`)
	}
	require.Equal(t, "1", requests(`201",component="apiserver",dry_run="",group="",resource="secrets",scope="resource",subresource="",verb="POST"`))
	require.Equal(t, "1", requests(`200",component="apiserver",dry_run="",group="",resource="secrets",scope="namespace",subresource="",verb="DELETE"`))
	require.Equal(t, "1", s.metric(`kube_apiserver_nodeport_allocator_allocation_total{scope="dynamic"}`))
	require.Equal(t, "1", s.metric("kube_apiserver_nodeport_allocator_allocated_ports"))
	require.Equal(t, "1", s.metric(`kube_apiserver_clusterip_allocator_allocation_total{cidr="10.96.0.0/16",scope="dynamic"}`))
	require.NotEmpty(t, s.metric(`apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="to_storage",`))
}
