package allocator

import (
	"context"
	"testing"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestMetrics: what is chosen and what is given is counted apart, and what could not be had; a dry run counts nothing.
func TestMetrics(t *testing.T) {
	w := newWorld(t, "10.0.0.0/30", 30000, 30001)
	set := meter.New()
	w.config.Counts = NewMetrics(set)
	ctx := context.Background()
	service := func(name, ip string, port int32) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: port}}}}
		if ip != "" {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = ip, []string{ip}
		}
		return s
	}
	made := func(a *Allocator, s *corev1.Service) error {
		plan, err := a.Create(ctx, s)
		if err == nil && a == w.Allocator {
			var txn store.Txn
			plan.AddTo(&txn)
			written, err := w.store.Commit(ctx, txn)
			require.NoError(t, err)
			require.NoError(t, w.store.Wait(ctx, written[0].Rev)) // the next plan is to see it
		}
		return err
	}
	require.NoError(t, made(w.Uncounted(), service("dry", "", 0)))
	require.NoError(t, made(w.Allocator, service("a", "10.0.0.1", 30000)))
	require.Error(t, made(w.Allocator, service("b", "10.0.0.1", 0)))
	require.Error(t, made(w.Allocator, service("c", "10.0.0.9", 0)), "of no range that is counted")
	require.NoError(t, made(w.Allocator, service("d", "", 0)))
	require.Error(t, made(w.Allocator, service("e", "", 0)))
	const ips, ports = "kube_apiserver_clusterip_allocator_allocation_", "kube_apiserver_nodeport_allocator_allocation_"
	for name, want := range map[string]map[string]float64{
		ips + "total":            {"10.0.0.0/30 static": 1, "10.0.0.0/30 dynamic": 1},
		ips + "errors_total":     {"10.0.0.0/30 static": 1, "10.0.0.0/30 dynamic": 1},
		ips + "duration_seconds": {"10.0.0.0/30": 4},
		ports + "total":          {"static": 1, "dynamic": 1},
		ports + "errors_total":   {},
	} {
		require.Equal(t, want, metertest.Counted(t, set, name), name)
	}
	taken, free, err := w.Ports(ctx)
	require.NoError(t, err)
	require.Equal(t, []int{2, 0}, []int{taken, free})
}
