// Package admissionpolicystatus tells the authors of ValidatingAdmissionPolicies in their status what is wrong with their
// expressions. When a policy is written, only its syntax can be judged: object may be anything. Here the kinds are looked up that the
// policy is about, and the expressions are checked against their schemas: a misspelt field is found before the first request is
// refused because of it. What is found is a warning; the policy holds as it is.
//
//	observe.go  the policy, and the schemas of the kinds that it names, asked of the API server when the policy has changed
//	check.go    each expression against each of the kinds
//	plan        a new status, if the policy is newer than the one it has
//
// Kinds that a rule names by a wildcard are not checked, nor are more than ten.
package admissionpolicystatus

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	policies := c.Informers.Admissionregistration().V1().ValidatingAdmissionPolicies()
	o := observer{policies.Lister(), schemas{c.Client.Discovery()}}
	loop := &reconcile.Loop[state]{
		Env:   c.Env,
		Name:  "validatingadmissionpolicy-status-controller",
		Queue: "validatingadmissionpolicy-status",
		Kinds: []reconcile.Resource{
			reconcile.For(policies.Informer(), func(string) reconcile.Client[*admissionv1.ValidatingAdmissionPolicy] {
				return c.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
			}),
		},
		Sources: []reconcile.Source{{Informer: policies.Informer(), Keys: reconcile.Self}},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

// plan writes what the check has found, once for each generation.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	old := s.policy
	if old.Status.ObservedGeneration >= old.Generation {
		return nil
	}
	next := old.DeepCopy()
	next.Status.ObservedGeneration = old.Generation
	next.Status.TypeChecking = &admissionv1.TypeChecking{ExpressionWarnings: check(old, s.kinds, s.params)}
	p.UpdateStatus(old, next, "generation %d of the policy has been checked against %d kinds", old.Generation, len(s.kinds))
	return p
}
