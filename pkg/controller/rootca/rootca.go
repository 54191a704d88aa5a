// Package rootca puts the certificate of the cluster's CA into every namespace, as the ConfigMap kube-root-ca.crt. Pods
// mount it to know that it is the API server they talk to. It is put right if someone changes it.
package rootca

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
	// RootCA is the certificate of the CA, or several, in PEM.
	RootCA []byte
}

const (
	name        = "kube-root-ca.crt"
	dataKey     = "ca.crt"
	descKey     = "kubernetes.io/description"
	description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the " +
		"internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Run runs the controller until the context ends. It watches the config maps of this one name, and not the others.
func Run(ctx context.Context, c Config) error {
	byName := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}))
	configMaps, namespaces := byName.Core().V1().ConfigMaps(), c.Informers.Core().V1().Namespaces()
	o := observer{namespaces.Lister(), configMaps.Lister(), string(c.RootCA)}
	loop := &reconcile.Loop[state]{
		Env:   c.Env,
		Name:  "root-ca-certificate-publisher-controller",
		Queue: "root_ca_cert_publisher",
		Kinds: []reconcile.Resource{
			reconcile.For(configMaps.Informer(), func(ns string) reconcile.Client[*corev1.ConfigMap] { return c.Client.CoreV1().ConfigMaps(ns) }),
		},
		Sources: []reconcile.Source{
			{Informer: namespaces.Informer(), Keys: reconcile.Self},
			{Informer: configMaps.Informer(), Keys: namespaceOf},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	byName.Start(ctx.Done())
	return loop.Run(ctx)
}

func namespaceOf(o reconcile.Object) []reconcile.Key {
	return []reconcile.Key{{Name: o.GetNamespace()}}
}

type observer struct {
	namespaces corelisters.NamespaceLister
	configMaps corelisters.ConfigMapLister
	rootCA     string
}

// state is all that a plan depends on; published is nil if there is none.
type state struct {
	namespace *corev1.Namespace
	published *corev1.ConfigMap
	rootCA    string
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	s.rootCA = o.rootCA
	if s.namespace, err = o.namespaces.Get(key.Name); err != nil {
		return s, false, nil
	}
	s.published, _ = o.configMaps.ConfigMaps(key.Name).Get(name)
	return s, true, nil
}

// plan publishes the certificate, or puts it right.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	data := map[string]string{dataKey: s.rootCA}
	switch {
	case s.namespace.Status.Phase != corev1.NamespaceActive:
	case s.published == nil:
		p.Create(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace.Name, Name: name, Annotations: map[string]string{descKey: description}},
			Data:       data,
		}, "pods of namespace %s could not know the API server", s.namespace.Name)
	default:
		next := s.published.DeepCopy()
		next.Data = data
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[descKey] = description
		p.Update(s.published, next, "it is not the certificate of this cluster")
	}
	return p
}
