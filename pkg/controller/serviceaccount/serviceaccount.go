// Package serviceaccount sees to it that every namespace has the ServiceAccount "default", which pods get that name none. One that
// is deleted comes back. Tokens are no part of it: pods get theirs from the API server, bound to the pod.
package serviceaccount

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

const name = "default"

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	core := c.Informers.Core().V1()
	o := observer{core.Namespaces().Lister(), core.ServiceAccounts().Lister()}
	loop := &reconcile.Loop[state]{
		Env:   c.Env,
		Name:  "service-account-controller",
		Queue: "serviceaccount",
		Kinds: []reconcile.Resource{
			reconcile.For(core.ServiceAccounts().Informer(), func(ns string) reconcile.Client[*corev1.ServiceAccount] {
				return c.Client.CoreV1().ServiceAccounts(ns)
			}),
		},
		Sources: []reconcile.Source{
			{Informer: core.Namespaces().Informer(), Keys: reconcile.Self},
			{Informer: core.ServiceAccounts().Informer(), Keys: namespaceOf},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// namespaceOf is the key of the namespace of a default account.
func namespaceOf(account reconcile.Object) []reconcile.Key {
	if account.GetName() != name {
		return nil
	}
	return []reconcile.Key{{Name: account.GetNamespace()}}
}

type observer struct {
	namespaces corelisters.NamespaceLister
	accounts   corelisters.ServiceAccountLister
}

// state is all that a plan depends on; account is nil if there is none.
type state struct {
	namespace *corev1.Namespace
	account   *corev1.ServiceAccount
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.namespace, err = o.namespaces.Get(key.Name); err != nil {
		return s, false, nil
	}
	s.account, _ = o.accounts.ServiceAccounts(key.Name).Get(name)
	return s, true, nil
}

// plan makes the account if it is missing. Nothing can be made in a namespace that is being deleted.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	if s.account == nil && s.namespace.Status.Phase == corev1.NamespaceActive {
		p.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace.Name, Name: name}},
			"namespace %s has no default account, and pods could not be made in it", s.namespace.Name)
	}
	return p
}
