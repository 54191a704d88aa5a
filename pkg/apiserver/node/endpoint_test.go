package node

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where the server finds those whom it calls.
func TestEndpoint(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "a", Name: "web"}
	service := func(edit func(*corev1.ServiceSpec)) *corev1.Service {
		s := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.9",
			Ports: []corev1.ServicePort{{Name: "https", Port: 443}, {Name: "other", Port: 444}}}}
		edit(&s.Spec)
		return s
	}
	slice := func(ready bool, of, port string) *discoveryv1.EndpointSlice {
		number := int32(8443)
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: of}},
			Ports:      []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.7"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		}
	}
	as := func(*corev1.ServiceSpec) {}
	for _, tc := range []struct {
		name    string
		service *corev1.Service
		slice   *discoveryv1.EndpointSlice
		want    string
	}{
		{"a ready endpoint", service(as), slice(true, "web", "https"), "10.244.0.7:8443"},
		{"none is ready", service(as), slice(false, "web", "https"), `error: no endpoints available for service "web"`},
		{"none has the port", service(as), slice(true, "web", "other"), `error: no endpoints available for service "web"`},
		{"nobody tells of any", service(as), slice(true, "db", "https"), "10.96.0.9:443"},
		{"nor is there an IP", service(func(s *corev1.ServiceSpec) { s.ClusterIP = corev1.ClusterIPNone }), slice(true, "db", "https"),
			`error: no endpoints available for service "web"`},
		{"no such port", service(func(s *corev1.ServiceSpec) { s.Ports = s.Ports[1:] }), slice(true, "web", "https"),
			`error: no service port 443 found for service "web"`},
		{"a name", service(func(s *corev1.ServiceSpec) { s.Type, s.ExternalName = corev1.ServiceTypeExternalName, "example.com" }),
			slice(true, "web", "https"), "example.com:443"},
		{"no service", nil, slice(true, "web", "https"), `error: service "web" not found`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			have := objects{"endpointslices.discovery.k8s.io/a/web-1": tc.slice}
			if tc.service != nil {
				have["services/a/web"] = tc.service
			}
			got, err := (&Nodes{get: have}).Endpoint(t.Context(), "a", "web", 443)
			if err != nil {
				got = "error: " + err.Error()
			}
			require.Equal(t, tc.want, got)
		})
	}
}
