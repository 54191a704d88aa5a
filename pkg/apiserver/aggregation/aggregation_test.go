package aggregation

import (
	"errors"
	"fmt"
	"testing"

	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

func told(actions []Action) (out []string) {
	for _, a := range actions {
		verb := "delete"
		switch {
		case a.Create != nil:
			verb = "create"
		case a.Update != nil:
			verb = "update"
		}
		out = append(out, verb+": "+a.Reason)
	}
	return out
}

// The story of the APIServices of what is served here.
func TestPlanLocal(t *testing.T) {
	apps, custom := schema.GroupVersion{Group: "apps", Version: "v1"}, schema.GroupVersion{Group: "example.com", Version: "v1alpha1"}
	served := []Served{{apps, false}, {custom, true}}
	require.Equal(t, []string{
		"create: v1.apps is served here and has no APIService",
		"create: v1alpha1.example.com is served here and has no APIService",
	}, told(PlanLocal(nil, served)))
	var have []*apiregistrationv1.APIService
	for _, a := range PlanLocal(nil, served) {
		have = append(have, a.Create)
	}
	require.Empty(t, PlanLocal(have, served))
	require.Equal(t, []string{"delete: v1alpha1.example.com is not served here any longer"}, told(PlanLocal(have, served[:1])))

	changed := have[0].DeepCopy()
	changed.Spec.Service = &apiregistrationv1.ServiceReference{}
	require.Equal(t, []string{"update: v1.apps is served here, and its APIService says otherwise"},
		told(PlanLocal([]*apiregistrationv1.APIService{changed, have[1]}, served)))
	delete(changed.Labels, managedLabel)
	require.Empty(t, PlanLocal([]*apiregistrationv1.APIService{changed, have[1]}, served), "somebody has taken it over")
	mine := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.mine"}}
	require.Empty(t, PlanLocal(append(have, mine), served), "nobody else's is touched")
}

func TestServedBy(t *testing.T) {
	served := ServedBy(resource.Table(), func(*resource.Row) bool { return false })
	require.NotContains(t, served, Served{GroupVersion: schema.GroupVersion{Group: "apiregistration.k8s.io", Version: "v1"}})
	require.Contains(t, served, Served{GroupVersion: schema.GroupVersion{Version: "v1"}})
	for _, s := range served {
		require.Contains(t, discovery.Priorities, s.Group)
	}
}

// What is said about the service, from what there is.
func TestJudge(t *testing.T) {
	port, name, no := int32(443), "https", false
	a := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{
		Service: &apiregistrationv1.ServiceReference{Namespace: "ns", Name: "svc", Port: &port}}}
	service := func(number int32) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Name: name, Port: number}}}}
	}
	slice := func(ready *bool) []*discoveryv1.EndpointSlice {
		return []*discoveryv1.EndpointSlice{{Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ready}}}}}
	}
	for _, tc := range []struct {
		seen Seen
		want string
	}{
		{Seen{}, `False ServiceNotFound: service/svc in "ns" is not present`},
		{Seen{Service: service(80)}, `False ServicePortError: service/svc in "ns" is not listening on port 443`},
		{Seen{Service: service(443)}, `False EndpointsNotFound: cannot find endpointslices for service/svc in "ns"`},
		{Seen{Service: service(443), Slices: slice(&no)},
			`False MissingEndpoints: endpointslices for service/svc in "ns" have no addresses with port name "https"`},
		{Seen{Service: service(443), Slices: slice(nil)}, "ask"},
		{Seen{Service: service(443), Slices: slice(nil), Asked: true}, "True Passed: all checks passed"},
		{Seen{Service: service(443), Slices: slice(nil), Asked: true, Err: errors.New("no route")}, "False FailedDiscoveryCheck: no route"},
		{Seen{Service: &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}}}, "ask"},
	} {
		c, ask := Judge(a, tc.seen)
		got := fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
		if ask {
			got = "ask"
		}
		require.Equal(t, tc.want, got)
	}
	c, _ := Judge(&apiregistrationv1.APIService{}, Seen{})
	require.Equal(t, "Local", c.Reason)

	// The time is that of the last change of status, and what is as it was is not written.
	first := WithCondition(a, c, metav1.Unix(1, 0))
	require.True(t, IsAvailable(first))
	require.Nil(t, WithCondition(first, c, metav1.Unix(2, 0)))
	c.Message = "other words"
	second := WithCondition(first, c, metav1.Unix(2, 0))
	require.Equal(t, metav1.Unix(1, 0), second.Status.Conditions[0].LastTransitionTime)
	c.Status = apiregistrationv1.ConditionFalse
	require.Equal(t, metav1.Unix(3, 0), WithCondition(second, c, metav1.Unix(3, 0)).Status.Conditions[0].LastTransitionTime)
}

// Connections outlive a change of status or of priorities, not one of trust.
func TestUpstreamsKeepConnections(t *testing.T) {
	port := int32(443)
	a := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{Group: "g", Version: "v1", InsecureSkipTLSVerify: true,
		Service: &apiregistrationv1.ServiceReference{Namespace: "ns", Name: "svc", Port: &port}}}
	gv := schema.GroupVersion{Group: "g", Version: "v1"}
	all := func() []*apiregistrationv1.APIService { return []*apiregistrationv1.APIService{a.DeepCopy()} }
	first := NewUpstreams(Config{}, all(), nil)
	a.Spec.VersionPriority = 7
	second := NewUpstreams(Config{}, all(), first)
	require.Same(t, first[gv].normal, second[gv].normal)
	require.Equal(t, int32(7), second[gv].VersionPriority)
	a.Spec.InsecureSkipTLSVerify, a.Spec.CABundle = false, []byte("nonsense")
	third := NewUpstreams(Config{}, all(), second)
	require.NotSame(t, second[gv].normal, third[gv].normal)
	require.ErrorIs(t, third[gv].broken, errBundle)
	require.Empty(t, NewUpstreams(Config{}, nil, third))
}

// Of what a server says in OpenAPI v2, what is below its version's path is taken, and read again only if it is something else.
func TestDescribe(t *testing.T) {
	const text = `{"swagger": "2.0", "paths": {
		"/apis/g/v1/things": {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Thing"}}}}},
		"/apis/g/v10/things": {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Other"}}}}}, "/version/": {}},
		"definitions": {"Thing": {"type": "object"}, "Other": {"type": "object"}}}`
	var first, second, third, broken Documents
	first.describe(said{body: []byte(text), tag: `"1"`}, &Documents{}, "/apis/g/v1/")
	require.Len(t, first.V2.Paths.Paths, 1)
	require.Contains(t, first.V2.Paths.Paths, "/apis/g/v1/things")
	require.Len(t, first.V2.Definitions, 1)
	require.Equal(t, `"1"`, first.tag)

	second.describe(said{same: true}, &first, "/apis/g/v1/")
	require.Equal(t, first, second)
	third.describe(said{body: []byte(text)}, &first, "/apis/g/v1/")
	require.Same(t, first.V2, third.V2, "a server without tags says the same again")

	for _, bad := range []string{"", "null", "[]", `{"paths": 1}`, `{"swagger": "2.0"}`} {
		broken.describe(said{body: []byte(bad)}, &first, "/apis/g/v1/")
		require.Nil(t, broken.V2, bad)
	}
}
