package integration

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// An operator as people write them: a typed kind, a manager with its cache, a reconciler that keeps a ConfigMap and a status for each
// lamp and cleans up behind it, webhooks that fill in and refuse, and a lease that says which of two managers does all that.

var lampGroup = schema.GroupVersion{Group: "light.example.com", Version: "v1"}

const (
	lampFinalizer = "light.example.com/unplug"
	lampCRD       = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.light.example.com}
spec:
  group: light.example.com
  scope: Namespaced
  names: {plural: lamps, singular: lamp, kind: Lamp, listKind: LampList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {color: {type: string}, watts: {type: integer}}
          status:
            type: object
            properties: {shines: {type: string}, observedGeneration: {type: integer}}
`
)

// lamp is the kind in Go.
type lamp struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec struct {
		Color string `json:"color,omitempty"`
		Watts int    `json:"watts,omitempty"`
	} `json:"spec,omitempty"`
	Status struct {
		Shines             string `json:"shines,omitempty"`
		ObservedGeneration int64  `json:"observedGeneration,omitempty"`
	} `json:"status,omitempty"`
}

func (l *lamp) DeepCopyObject() runtime.Object {
	out := *l
	l.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return &out
}

type lampList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []lamp `json:"items"`
}

func (l *lampList) DeepCopyObject() runtime.Object {
	out := *l
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = nil
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopyObject().(*lamp))
	}
	return &out
}

func lampScheme(t *testing.T) *runtime.Scheme {
	s := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(s))
	s.AddKnownTypeWithName(lampGroup.WithKind("Lamp"), &lamp{})
	s.AddKnownTypeWithName(lampGroup.WithKind("LampList"), &lampList{})
	metav1.AddToGroupVersion(s, lampGroup)
	return s
}

// lampKeeper is the reconciler. Each says under its name that it has unplugged a lamp.
type lampKeeper struct {
	client.Client
	name      string
	unplugged chan string
}

func (k *lampKeeper) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	l := &lamp{}
	if err := k.Get(ctx, req.NamespacedName, l); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !l.DeletionTimestamp.IsZero() {
		if !controllerutil.RemoveFinalizer(l, lampFinalizer) {
			return ctrl.Result{}, nil
		}
		err := k.Update(ctx, l)
		if err == nil {
			k.unplugged <- k.name + " " + l.Name
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if controllerutil.AddFinalizer(l, lampFinalizer) {
		return ctrl.Result{}, k.Update(ctx, l)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: l.Name, Namespace: l.Namespace}}
	if _, err := controllerutil.CreateOrUpdate(ctx, k.Client, cm, func() error {
		cm.Data = map[string]string{"color": l.Spec.Color}
		return controllerutil.SetControllerReference(l, cm, k.Scheme())
	}); err != nil {
		return ctrl.Result{}, err
	}
	before := l.DeepCopyObject().(*lamp)
	l.Status.Shines, l.Status.ObservedGeneration = l.Spec.Color+" by "+k.name, l.Generation
	return ctrl.Result{}, k.Status().Patch(ctx, l, client.MergeFrom(before))
}

// lampRules are the webhooks.
type lampRules struct{}

func (lampRules) Default(_ context.Context, l *lamp) error {
	if l.Spec.Color == "" {
		l.Spec.Color = "white"
	}
	return nil
}

func (lampRules) ValidateCreate(_ context.Context, l *lamp) (admission.Warnings, error) {
	if l.Spec.Watts > 100 {
		return nil, errors.New("that would blow the fuse")
	}
	return nil, nil
}

func (r lampRules) ValidateUpdate(ctx context.Context, old, l *lamp) (admission.Warnings, error) {
	if old.Spec.Color == "red" && l.Spec.Color != "red" {
		return nil, errors.New("red lamps stay red")
	}
	return r.ValidateCreate(ctx, l)
}

func (lampRules) ValidateDelete(_ context.Context, l *lamp) (admission.Warnings, error) {
	if l.Annotations["keep"] != "" {
		return nil, errors.New("it is to be kept")
	}
	return nil, nil
}

// loopback is a webhook server on a port that the system picks.
type loopback struct {
	*httptest.Server
	mux *http.ServeMux
}

func newLoopback(t *testing.T) *loopback {
	mux := http.NewServeMux()
	l := &loopback{httptest.NewTLSServer(mux), mux}
	t.Cleanup(l.Close)
	return l
}

func (l *loopback) NeedLeaderElection() bool                { return false }
func (l *loopback) Register(path string, hook http.Handler) { l.mux.Handle(path, hook) }
func (l *loopback) WebhookMux() *http.ServeMux              { return l.mux }
func (l *loopback) StartedChecker() healthz.Checker         { return healthz.Ping }
func (l *loopback) Start(ctx context.Context) error         { <-ctx.Done(); return nil }

var _ webhook.Server = &loopback{}

func (l *loopback) clientConfig(path string) admissionv1.WebhookClientConfig {
	url := l.URL + path
	return admissionv1.WebhookClientConfig{URL: &url,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw})}
}

// operator is one process of two.
type operator struct {
	manager.Manager
	hooks  *loopback
	cancel context.CancelFunc
	done   chan error
}

func (s *server) operator(name string, unplugged chan string) *operator {
	s.Helper()
	o := &operator{hooks: newLoopback(s.T), done: make(chan error, 1)}
	lease, renew, retry := 60*time.Second, 30*time.Second, 50*time.Millisecond
	unnamed := true
	var err error
	o.Manager, err = ctrl.NewManager(s.config, ctrl.Options{
		Scheme: lampScheme(s.T), Metrics: metricsserver.Options{BindAddress: "0"}, WebhookServer: o.hooks, Logger: logr.Discard(),
		LeaderElection: true, LeaderElectionID: "lamps", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry, Controller: config.Controller{SkipNameValidation: &unnamed},
	})
	require.NoError(s, err)
	keeper := &lampKeeper{Client: o.GetClient(), name: name, unplugged: unplugged}
	require.NoError(s, ctrl.NewControllerManagedBy(o).For(&lamp{}).Owns(&corev1.ConfigMap{}).Complete(keeper))
	require.NoError(s, ctrl.NewWebhookManagedBy(o, &lamp{}).WithDefaulter(lampRules{}).WithValidator(lampRules{}).Complete())
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	go func() { o.done <- o.Start(ctx) }()
	s.Cleanup(cancel)
	return o
}

// hook has the server ask o's webhooks about lamps.
func (s *server) hook(o *operator) {
	s.Helper()
	none, fail := admissionv1.SideEffectClassNone, admissionv1.Fail
	rules := func(ops ...admissionv1.OperationType) []admissionv1.RuleWithOperations {
		return []admissionv1.RuleWithOperations{{Operations: ops, Rule: admissionv1.Rule{
			APIGroups: []string{lampGroup.Group}, APIVersions: []string{"v1"}, Resources: []string{"lamps"}}}}
	}
	_, err := s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(s.Context(), &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "lamps"},
		Webhooks: []admissionv1.MutatingWebhook{{Name: "default.light.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
			ClientConfig: o.hooks.clientConfig("/mutate-light-example-com-v1-lamp"), Rules: rules("CREATE", "UPDATE")}},
	}, metav1.CreateOptions{})
	require.NoError(s, err)
	_, err = s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(s.Context(), &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "lamps"},
		Webhooks: []admissionv1.ValidatingWebhook{{Name: "validate.light.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail,
			ClientConfig: o.hooks.clientConfig("/validate-light-example-com-v1-lamp"), Rules: rules("CREATE", "UPDATE", "DELETE")}},
	}, metav1.CreateOptions{})
	require.NoError(s, err)
}

func TestOperator(t *testing.T) {
	log.SetLogger(logr.Discard())
	s := startServer(t)
	s.define(object(t, lampCRD))
	unplugged := make(chan string, 8)
	first := s.operator("first", unplugged)
	<-first.Elected()
	second := s.operator("second", unplugged)
	s.hook(first)

	ctx := t.Context()
	c, err := client.New(s.config, client.Options{Scheme: lampScheme(t)})
	require.NoError(t, err)
	named := func(name string) *lamp {
		return &lamp{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	}
	shines := func(name, how string) {
		t.Helper()
		s.until(name+" shines "+how, func() bool {
			l := named(name)
			require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(l), l))
			return l.Status.Shines == how && l.Status.ObservedGeneration == l.Generation
		})
	}

	desk := named("desk")
	require.NoError(t, c.Create(ctx, desk))
	require.Equal(t, "white", desk.Spec.Color)
	shines("desk", "white by first")
	cm := &corev1.ConfigMap{}
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(desk), cm))
	require.Equal(t, "white", cm.Data["color"])
	require.True(t, metav1.IsControlledBy(cm, desk))

	hot := named("hot")
	hot.Spec.Watts = 1000
	err = c.Create(ctx, hot)
	require.True(t, apierrors.IsForbidden(err))
	require.ErrorContains(t, err, `admission webhook "validate.light.example.com" denied the request: that would blow the fuse`)

	require.NoError(t, c.Patch(ctx, desk, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"color":"red"}}`))))
	shines("desk", "red by first")
	err = c.Patch(ctx, desk, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"color":"blue"}}`)))
	require.ErrorContains(t, err, "red lamps stay red")

	kept := named("kept")
	kept.Annotations = map[string]string{"keep": "yes"}
	require.NoError(t, c.Create(ctx, kept))
	require.ErrorContains(t, c.Delete(ctx, kept), "it is to be kept")

	// The other one takes over with the lease. The webhooks of the first go on, as those of a second replica would.
	first.cancel()
	require.NoError(t, <-first.done)
	<-second.Elected()
	shelf := named("shelf")
	require.NoError(t, c.Create(ctx, shelf))
	shines("shelf", "white by second")
	require.NoError(t, c.Delete(ctx, shelf))
	require.Equal(t, "second shelf", <-unplugged)
	s.until("the lamp is gone", func() bool {
		return apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(shelf), named("shelf")))
	})
	second.cancel()
	require.NoError(t, <-second.done)
}
