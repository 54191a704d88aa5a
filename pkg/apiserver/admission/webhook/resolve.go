package webhook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	"bonsai/pkg/apiserver/admission"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resolver finds endpoints of services.
type resolver struct{ get admission.Getter }

// endpoint returns the address of one of the endpoints that are ready, by chance.
func (r resolver) endpoint(ctx context.Context, namespace, name string, port int32) (string, error) {
	obj, err := r.get.Get(ctx, schema.GroupResource{Resource: "services"}, namespace, name)
	if apierrors.IsNotFound(err) {
		return "", apierrors.NewNotFound(schema.GroupResource{Resource: "service"}, name)
	}
	if err != nil {
		return "", err
	}
	service := obj.(*corev1.Service)
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return net.JoinHostPort(service.Spec.ExternalName, strconv.Itoa(int(port))), nil
	}
	portName, ok := portNamed(service, port)
	if !ok {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
	}
	slices, err := r.get.List(ctx, schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}, namespace)
	if err != nil {
		return "", err
	}
	var found []string
	for _, obj := range slices {
		if slice := obj.(*discoveryv1.EndpointSlice); slice.Labels[discoveryv1.LabelServiceName] == name {
			found = append(found, ready(slice, portName)...)
		}
	}
	if len(found) == 0 {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	return found[rand.IntN(len(found))], nil
}

// portNamed returns the name of the service's port, by which endpoints know it.
func portNamed(s *corev1.Service, port int32) (string, bool) {
	for _, p := range s.Spec.Ports {
		if p.Port == port {
			return p.Name, true
		}
	}
	return "", false
}

// ready are the addresses of a slice that are ready, at the port of that name.
func ready(s *discoveryv1.EndpointSlice, portName string) []string {
	var out []string
	for _, p := range s.Ports {
		if p.Port == nil || p.Name != nil && *p.Name != portName || p.Name == nil && portName != "" {
			continue
		}
		for _, e := range s.Endpoints {
			if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				out = append(out, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*p.Port))))
			}
		}
	}
	return out
}
