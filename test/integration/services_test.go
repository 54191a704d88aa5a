package integration

import (
	"fmt"
	"testing"

	"bonsai/pkg/cluster/parts"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func aService(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
}

// Clients can read where services get their addresses from.
func TestServiceRangeIsTold(t *testing.T) {
	s := startServer(t)
	ranges := s.client.NetworkingV1().ServiceCIDRs()
	told, err := ranges.Get(t.Context(), "kubernetes", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{parts.ServiceCIDR}, told.Spec.CIDRs)
	require.Len(t, told.Status.Conditions, 1)
	ready := told.Status.Conditions[0]
	require.Equal(t, "Ready=True Kubernetes default Service CIDR is ready", fmt.Sprintf("%s=%s %s", ready.Type, ready.Status, ready.Message))
	require.Equal(t, []string{"kube-apiserver ", "kubernetes-service-cidr-controller status"}, []string{
		told.ManagedFields[0].Manager + " " + told.ManagedFields[0].Subresource, told.ManagedFields[1].Manager + " " + told.ManagedFields[1].Subresource})
}

// A range that is added gives addresses at once, until it is said not to be ready.
func TestServiceRangeIsAdded(t *testing.T) {
	s := startServer(t)
	ctx, ranges := t.Context(), s.client.NetworkingV1().ServiceCIDRs()
	create := func(name, ip string) error {
		svc := aService(name)
		svc.Spec.ClusterIP = ip
		_, err := s.client.CoreV1().Services("default").Create(ctx, svc, metav1.CreateOptions{})
		return err
	}
	const elsewhere = `Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.200.0.6"]: failed to allocate IP 10.200.0.6: the provided network does not match the current range`
	require.EqualError(t, create("b", "10.200.0.6"), elsewhere)
	more, err := ranges.Create(ctx, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"},
		Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.200.0.0/29"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("the range is in use", func() bool { return create("a", "10.200.0.5") == nil })
	held, err := s.client.NetworkingV1().IPAddresses().Get(ctx, "10.200.0.5", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "a", held.Spec.ParentRef.Name)

	more.Status.Conditions = []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse, Reason: "Moved", LastTransitionTime: metav1.Unix(1, 0)}}
	_, err = ranges.UpdateStatus(ctx, more, metav1.UpdateOptions{})
	require.NoError(t, err)
	s.until("the range is in use no more", func() bool {
		if err = create("b", "10.200.0.6"); err == nil {
			require.NoError(t, s.client.CoreV1().Services("default").Delete(ctx, "b", metav1.DeleteOptions{}))
		}
		return err != nil
	})
	require.EqualError(t, err, elsewhere)
}

// However many services are made at once, each has its own address and port, and what is deleted can be had again.
func TestServiceAllocation(t *testing.T) {
	s := startServer(t)
	ctx, services := t.Context(), s.client.CoreV1().Services("default")
	const n = 300
	made := make([]*corev1.Service, n)
	var g errgroup.Group
	g.SetLimit(50)
	for i := range made {
		g.Go(func() (err error) {
			svc := aService(fmt.Sprintf("s%d", i))
			svc.Spec.Type = corev1.ServiceTypeNodePort
			made[i], err = services.Create(ctx, svc, metav1.CreateOptions{})
			return err
		})
	}
	require.NoError(t, g.Wait())
	ips, ports := map[string]string{"10.96.0.1": "kubernetes"}, map[int32]string{}
	for _, svc := range made {
		require.Empty(t, ips[svc.Spec.ClusterIP], svc.Name)
		require.Empty(t, ports[svc.Spec.Ports[0].NodePort], svc.Name)
		ips[svc.Spec.ClusterIP], ports[svc.Spec.Ports[0].NodePort] = svc.Name, svc.Name
	}

	again := aService("again")
	again.Spec.Type, again.Spec.ClusterIP, again.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, made[7].Spec.ClusterIP, made[7].Spec.Ports[0].NodePort
	_, err := services.Create(ctx, again, metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	require.ErrorContains(t, err, "provided IP is already allocated")
	require.NoError(t, services.Delete(ctx, made[7].Name, metav1.DeleteOptions{}))
	got, err := services.Create(ctx, again, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, made[7].Spec.ClusterIP, got.Spec.ClusterIP)
	require.Equal(t, made[7].Spec.Ports[0].NodePort, got.Spec.Ports[0].NodePort)

	// A service that turns inward gives its port back, and keeps its address.
	got.Spec.Type, got.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, 0
	got, err = services.Update(ctx, got, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Zero(t, got.Spec.Ports[0].NodePort)
	require.Equal(t, made[7].Spec.ClusterIP, got.Spec.ClusterIP)
	other := aService("other")
	other.Spec.Type, other.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, made[7].Spec.Ports[0].NodePort
	_, err = services.Create(ctx, other, metav1.CreateOptions{})
	require.NoError(t, err)
}

// A range that is deleted gives no address any more, and stays until the services that have one of it have another range.
func TestServiceRangeInUseStays(t *testing.T) {
	s := startControllers(t)
	ctx, ranges := t.Context(), s.client.NetworkingV1().ServiceCIDRs()
	make := func(name string, cidrs ...string) {
		_, err := ranges.Create(ctx, &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	said := func(name string) string {
		c, err := ranges.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return string(apierrors.ReasonForError(err))
		}
		story := fmt.Sprint(c.Finalizers)
		for _, is := range c.Status.Conditions {
			story += fmt.Sprintf(" %s=%s %s %s", is.Type, is.Status, is.Reason, is.Message)
		}
		return story
	}
	serve := func(name, ip string) error {
		svc := aService(name)
		svc.Spec.ClusterIP = ip
		_, err := s.client.CoreV1().Services("default").Create(ctx, svc, metav1.CreateOptions{})
		return err
	}
	const ready = "[networking.k8s.io/service-cidr-finalizer] Ready=True  Kubernetes Service CIDR is ready"
	make("more", "10.200.0.0/24")
	for _, name := range []string{"kubernetes", "more"} {
		s.until(name+" is ready", func() bool { return said(name) == ready })
	}
	s.until("the range is in use", func() bool { return serve("a", "10.200.0.5") == nil })

	require.NoError(t, ranges.Delete(ctx, "more", metav1.DeleteOptions{}))
	s.until("it is said why the range stays", func() bool {
		return said("more") == "[networking.k8s.io/service-cidr-finalizer] Ready=False Terminating There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
	})
	require.ErrorContains(t, serve("b", "10.200.0.6"), "the provided network does not match the current range")
	make("wide", "10.200.0.0/16")
	s.until("the service has another range", func() bool { return said("more") == "NotFound" })
	s.until("the wider range is in use", func() bool { return serve("b", "10.200.0.6") == nil })
}
