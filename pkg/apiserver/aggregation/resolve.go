package aggregation

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Getter reads objects, which the caller does not change; it returns the API's NotFound.
type Getter interface {
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error)
}

// Resolver returns the Config.Resolve of a cluster: a service is reached at one of its pods, which pod finds, since this machine may have no
// rules for cluster IPs; without pods at its cluster IP; and one that is but a name at that.
func Resolver(get Getter, pod func(ctx context.Context, namespace, name string, port int32) (string, error)) func(context.Context, string, string, int32) (string, error) {
	return func(ctx context.Context, namespace, name string, port int32) (string, error) {
		o, err := get.Get(ctx, schema.GroupResource{Resource: "services"}, namespace, name)
		if err != nil {
			return "", err
		}
		s, ok := o.(*corev1.Service)
		if !ok {
			return "", fmt.Errorf("service %s/%s is a %T", namespace, name, o)
		}
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			return net.JoinHostPort(s.Spec.ExternalName, strconv.Itoa(int(port))), nil
		}
		if _, ok := servicePort(s, port); !ok {
			return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
		}
		at, err := pod(ctx, namespace, name, port)
		if err != nil && s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone {
			return net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(port))), nil
		}
		return at, err
	}
}
