package apiserver

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The first objects are those that every cluster has before anybody has made any: four namespaces, the range of the services' addresses, the service through which
// pods reach this server, the classes of what must run before anything else, and what everybody may do (bootstrap_policy.go). They go through the same code as a client's, admission and
// allocation of the address included, and are only made where they are missing, so that a restart changes nothing.

// ownManager is whom managedFields name as the owner of what the server writes by itself.
const ownManager = "kube-apiserver"

func (s *Server) makeNamespaces(ctx context.Context) error {
	var objs []resource.Object
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		objs = append(objs, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return s.ensureAll(ctx, objs...)
}

func (s *Server) makeServiceRange(ctx context.Context) error {
	if s.cfg.ServiceCIDR == "" {
		return nil
	}
	if err := s.ensure(ctx, s.serviceRange()); err != nil {
		return err
	}
	return s.readyServiceRange(ctx)
}

func (s *Server) makeKubernetesService(ctx context.Context) error {
	if s.cfg.ServiceIP == "" {
		return nil
	}
	return s.ensureAll(ctx, s.kubernetesService(), s.kubernetesEndpoints(), s.kubernetesSlice())
}

// keepFirst makes those of the first objects again that a cluster cannot do without, if somebody has deleted them. What is there stays as it
// is: of several servers, each would have the endpoints say its own address.
func (s *Server) keepFirst(ctx context.Context) error {
	var service error
	if s.cfg.ServiceIP != "" {
		service = s.ensure(ctx, s.kubernetesService())
	}
	return errors.Join(s.makeNamespaces(ctx), service, s.publishTrust(ctx))
}

func (s *Server) makePriorityClasses(ctx context.Context) error {
	var objs []resource.Object
	for _, class := range resource.SystemPriorityClasses() {
		objs = append(objs, class)
	}
	return s.ensureAll(ctx, objs...)
}

func (s *Server) ensureAll(ctx context.Context, objs ...resource.Object) error {
	for _, obj := range objs {
		if err := s.ensure(ctx, obj); err != nil {
			return err
		}
	}
	return nil
}

func kubernetesMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: "kubernetes", Namespace: metav1.NamespaceDefault}
}

func (s *Server) kubernetesService() *corev1.Service {
	svc := &corev1.Service{ObjectMeta: kubernetesMeta()}
	svc.Labels = map[string]string{"component": "apiserver", "provider": "kubernetes"}
	svc.Spec = corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: s.cfg.ServiceIP, ClusterIPs: []string{s.cfg.ServiceIP},
		Ports: []corev1.ServicePort{{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(s.cfg.AdvertisePort)}},
	}
	return svc
}

// serviceRange says where services get their addresses from.
func (s *Server) serviceRange() *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"},
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{s.cfg.ServiceCIDR}},
	}
}

// readyServiceRange notes that addresses are given out of the range. What somebody else has said about it stays.
func (s *Server) readyServiceRange(ctx context.Context) error {
	c, err := s.ownCall(ctx, s.serviceRange())
	if c == nil || err != nil {
		return err
	}
	c.t.verb, c.t.sub = "update", "status"
	e := s.edit(c, writeOptions{options: &metav1.UpdateOptions{}, manager: "kubernetes-service-cidr-controller"})
	e.next = func(old resource.Object) (resource.Object, error) {
		next := old.(*networkingv1.ServiceCIDR).DeepCopy()
		if meta.FindStatusCondition(next.Status.Conditions, networkingv1.ServiceCIDRConditionReady) == nil && slices.Equal(next.Spec.CIDRs, []string{s.cfg.ServiceCIDR}) {
			next.Status.Conditions = append(next.Status.Conditions, metav1.Condition{Type: networkingv1.ServiceCIDRConditionReady,
				Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(s.now()), Message: "Kubernetes default Service CIDR is ready"})
		}
		return next, nil
	}
	_, err = s.change(c, c.t, e)
	return err
}

// kubernetesEndpoints is labelled so that the controller that mirrors endpoints into slices leaves it alone: the slice is made here too.
func (s *Server) kubernetesEndpoints() *corev1.Endpoints {
	e := &corev1.Endpoints{ObjectMeta: kubernetesMeta()}
	e.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"}
	e.Subsets = []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: s.cfg.AdvertiseIP}},
		Ports:     []corev1.EndpointPort{{Name: "https", Port: s.cfg.AdvertisePort, Protocol: corev1.ProtocolTCP}},
	}}
	return e
}

func (s *Server) kubernetesSlice() *discoveryv1.EndpointSlice {
	name, port, protocol, ready := "https", s.cfg.AdvertisePort, corev1.ProtocolTCP, true
	e := &discoveryv1.EndpointSlice{ObjectMeta: kubernetesMeta(), AddressType: discoveryv1.AddressTypeIPv4}
	e.Labels = map[string]string{discoveryv1.LabelServiceName: "kubernetes"}
	e.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}}
	e.Endpoints = []discoveryv1.Endpoint{{
		Addresses: []string{s.cfg.AdvertiseIP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}}
	return e
}

// ensure makes obj unless it exists. Endpoints that say where the server was before are replaced: its address may change.
func (s *Server) ensure(ctx context.Context, obj resource.Object) error {
	c, err := s.ownCall(ctx, obj)
	if err != nil {
		return err
	}
	if c == nil {
		return nil // a table without this kind, as tests have
	}
	// Looked for first: a service that exists already holds the very address that a new one would ask for.
	_, err = s.store.Get(ctx, c.t.row.Key(obj.GetNamespace(), obj.GetName()), store.ReadAt{})
	if errors.Is(err, store.ErrNotFound) {
		w := writeOptions{options: &metav1.CreateOptions{}, manager: ownManager}
		_, err = s.insert(c, c.t, obj.DeepCopyObject().(resource.Object), w)
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	refresh := refresher(obj)
	if refresh == nil {
		return nil
	}
	e := &edit{writeOptions: writeOptions{options: &metav1.UpdateOptions{}, manager: ownManager}, op: "UPDATE", next: refresh}
	_, err = s.change(c, c.t, e)
	return err
}

// refresher returns what brings an existing object up to date with obj; nil if it is to be left as people have made it.
func refresher(obj resource.Object) func(resource.Object) (resource.Object, error) {
	switch want := obj.(type) {
	case *corev1.Endpoints:
		return func(old resource.Object) (resource.Object, error) {
			next := old.(*corev1.Endpoints).DeepCopy()
			next.Subsets = want.Subsets
			return next, nil
		}
	case *discoveryv1.EndpointSlice:
		return func(old resource.Object) (resource.Object, error) {
			next := old.(*discoveryv1.EndpointSlice).DeepCopy()
			next.Endpoints, next.Ports = want.Endpoints, want.Ports
			return next, nil
		}
	}
	return nil
}

// ownCall is a call that the server makes to itself.
func (s *Server) ownCall(ctx context.Context, obj resource.Object) (*call, error) {
	t := &target{isResource: true, verb: "create", namespace: obj.GetNamespace(), name: obj.GetName()}
	for _, row := range s.rows {
		for i := range row.Versions {
			if sameType(row.Versions[i].New(), obj) {
				t.row, t.ver = row, &row.Versions[i]
				t.group, t.version, t.resource = t.ver.Group, t.ver.Version, row.Resource
			}
		}
	}
	if t.row == nil {
		return nil, nil
	}
	obj.GetObjectKind().SetGroupVersionKind(t.gvk())
	if t.row.Default != nil {
		t.row.Default(obj)
	}
	return s.callOn(ctx, t)
}

// callOn is a call that the server makes to itself, about t.
func (s *Server) callOn(ctx context.Context, t *target) (*call, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	if err != nil {
		return nil, err
	}
	c := &call{t: t, kinds: s.kinds.Load(), f: format{media: mediaProtobuf}, w: &recorder{ResponseWriter: discard{}}, start: s.now()}
	c.user = auth.User{Name: "system:apiserver", Groups: []string{"system:masters"}}
	c.r = r.WithContext(auth.WithUser(ctx, c.user))
	return c, nil
}

// discard is where the warnings of own calls go.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }
