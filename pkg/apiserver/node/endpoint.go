package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Endpoint is where a port of a service can be reached, as HOST:PORT, for those whom the server itself calls: webhooks and other API
// servers. This machine may have no rules for cluster IPs, so it is one of the endpoints that are ready, by chance; as long as
// no slice tells of any, ready or not, it is the cluster IP. A service that is but a name is reached at that.
//
// Unlike a proxied request, which any user may send, such a call goes where an administrator said, so the endpoints need not be pods.
func (n *Nodes) Endpoint(ctx context.Context, namespace, name string, port int32) (string, error) {
	service, err := find[*corev1.Service](ctx, n, "services", namespace, name)
	if apierrors.IsNotFound(err) {
		return "", apierrors.NewNotFound(schema.GroupResource{Resource: "service"}, name)
	}
	if err != nil {
		return "", err
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return net.JoinHostPort(service.Spec.ExternalName, strconv.Itoa(int(port))), nil
	}
	portName, err := portName(service, int64(port))
	if err != nil {
		return "", err
	}
	slices, err := n.get.List(ctx, schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}, namespace)
	if err != nil {
		return "", err
	}
	var found []string
	told := false
	for _, obj := range slices {
		if slice, ok := obj.(*discoveryv1.EndpointSlice); ok && slice.Labels[discoveryv1.LabelServiceName] == name {
			found, told = append(found, ready(slice, portName)...), true
		}
	}
	switch ip := service.Spec.ClusterIP; {
	case len(found) > 0:
		return found[rand.IntN(len(found))], nil
	case !told && ip != "" && ip != corev1.ClusterIPNone:
		return net.JoinHostPort(ip, strconv.Itoa(int(port))), nil
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
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
