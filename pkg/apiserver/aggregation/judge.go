package aggregation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Seen is what is known of the service of an APIService.
type Seen struct {
	Service *corev1.Service // nil if there is none
	Slices  []*discoveryv1.EndpointSlice
	// Err is what went wrong when the service was asked what it serves; Asked says that it was.
	Asked bool
	Err   error
}

// Judge says whether an APIService is available, and if not why, as far as that can be told from the objects. ask tells that the service
// has to be asked to know.
func Judge(a *apiregistrationv1.APIService, s Seen) (c apiregistrationv1.APIServiceCondition, ask bool) {
	no := func(reason, message string, values ...any) (apiregistrationv1.APIServiceCondition, bool) {
		return condition(apiregistrationv1.ConditionFalse, reason, fmt.Sprintf(message, values...)), false
	}
	ref := a.Spec.Service
	switch {
	case ref == nil:
		return condition(apiregistrationv1.ConditionTrue, "Local", "Local APIServices are always available"), false
	case s.Service == nil:
		return no("ServiceNotFound", "service/%s in %q is not present", ref.Name, ref.Namespace)
	}
	if s.Service.Spec.Type == corev1.ServiceTypeClusterIP {
		port, found := servicePort(s.Service, *ref.Port)
		switch {
		case !found:
			return no("ServicePortError", "service/%s in %q is not listening on port %d", ref.Name, ref.Namespace, *ref.Port)
		case len(s.Slices) == 0:
			return no("EndpointsNotFound", "cannot find endpointslices for service/%s in %q", ref.Name, ref.Namespace)
		case !slices.ContainsFunc(s.Slices, func(e *discoveryv1.EndpointSlice) bool { return serves(e, port) }):
			return no("MissingEndpoints", "endpointslices for service/%s in %q have no addresses with port name %q", ref.Name, ref.Namespace, port)
		}
	}
	switch {
	case !s.Asked:
		return apiregistrationv1.APIServiceCondition{}, true
	case s.Err != nil:
		return no("FailedDiscoveryCheck", "%s", s.Err.Error())
	}
	return condition(apiregistrationv1.ConditionTrue, "Passed", "all checks passed"), false
}

func condition(status apiregistrationv1.ConditionStatus, reason, message string) apiregistrationv1.APIServiceCondition {
	return apiregistrationv1.APIServiceCondition{Type: apiregistrationv1.Available, Status: status, Reason: reason, Message: message}
}

func servicePort(s *corev1.Service, number int32) (name string, ok bool) {
	for _, p := range s.Spec.Ports {
		if p.Port == number {
			return p.Name, true
		}
	}
	return "", false
}

// serves tells whether a slice has a ready address and the port.
func serves(e *discoveryv1.EndpointSlice, port string) bool {
	ready := slices.ContainsFunc(e.Endpoints, func(e discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready })
	return ready && slices.ContainsFunc(e.Ports, func(p discoveryv1.EndpointPort) bool {
		return p.Name != nil && *p.Name == port && p.Port != nil
	})
}

// IsAvailable reads the condition.
func IsAvailable(a *apiregistrationv1.APIService) bool {
	for _, c := range a.Status.Conditions {
		if c.Type == apiregistrationv1.Available {
			return c.Status == apiregistrationv1.ConditionTrue
		}
	}
	return false
}

// WithCondition returns a with the condition; nil if it has it already. The time of a change is that of a change of status.
func WithCondition(a *apiregistrationv1.APIService, c apiregistrationv1.APIServiceCondition, now metav1.Time) *apiregistrationv1.APIService {
	c.LastTransitionTime = now
	next := a.DeepCopy()
	for i := range next.Status.Conditions {
		old := &next.Status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return nil
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return next
	}
	next.Status.Conditions = append(next.Status.Conditions, c)
	return next
}
