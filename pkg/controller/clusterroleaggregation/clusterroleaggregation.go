// Package clusterroleaggregation fills those ClusterRoles that are made of others: a role with an aggregationRule has the rules of all
// roles that its label selectors choose, and no others. So an operator's chart adds its own kinds to the roles admin, edit and view by a
// label, and nobody has to edit these.
//
// Roles may be made of roles that are made of others: admin takes in edit, which takes in view. Each is planned by itself; a change goes up one
// step per plan, until a plan changes nothing.
//
// Upstream writes the rules by server-side apply, here they are an update of what was seen, which a writer in between makes a conflict and a new plan.
package clusterroleaggregation

import (
	"context"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

// aggregated is the index of the roles that are made of others; all of them are under the one key yes.
const (
	aggregated = "clusterroles.aggregated"
	yes        = "yes"
)

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	roles := c.Informers.Rbac().V1().ClusterRoles()
	informer := roles.Informer()
	if err := reconcile.Index(informer, aggregated, isAggregated); err != nil {
		return err
	}
	// Any role may be a part of any other: it costs less to plan all than to find out which.
	all := func(reconcile.Object) (keys []reconcile.Key) {
		found, _ := informer.GetIndexer().ByIndex(aggregated, yes) // it fails only for want of the index
		for _, o := range found {
			keys = append(keys, reconcile.KeyOf(o.(*rbacv1.ClusterRole)))
		}
		return keys
	}
	loop := &reconcile.Loop[state]{
		Env:   c.Env,
		Name:  "clusterrole-aggregation-controller",
		Queue: "ClusterRoleAggregator",
		Kinds: []reconcile.Resource{
			reconcile.For(informer, func(string) reconcile.Client[*rbacv1.ClusterRole] { return c.Client.RbacV1().ClusterRoles() }),
		},
		Sources: []reconcile.Source{{Informer: informer, Keys: all, Changed: changed}},
		Observe: observer{roles.Lister()}.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

func isAggregated(o reconcile.Object) []string {
	if o.(*rbacv1.ClusterRole).AggregationRule != nil {
		return []string{yes}
	}
	return nil
}

func changed(old, next reconcile.Object) bool {
	a, b := old.(*rbacv1.ClusterRole), next.(*rbacv1.ClusterRole)
	return !equality.Semantic.DeepEqual(a.Labels, b.Labels) || !equality.Semantic.DeepEqual(a.Rules, b.Rules) ||
		!equality.Semantic.DeepEqual(a.AggregationRule, b.AggregationRule)
}

type observer struct{ roles rbaclisters.ClusterRoleLister }

// state is an aggregated role and all roles that there are.
type state struct {
	role *rbacv1.ClusterRole
	all  []*rbacv1.ClusterRole
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.role, err = o.roles.Get(key.Name); err != nil || s.role.AggregationRule == nil {
		return s, false, nil
	}
	s.all, err = o.roles.List(labels.Everything())
	return s, true, err
}

// plan gives the role the rules of its parts, in the order of its selectors and of their names, each rule once.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	slices.SortFunc(s.all, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	next := s.role.DeepCopy()
	next.Rules = nil
	var names []string
	for i := range s.role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&s.role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil // as validation does not let it be, it is from elsewhere; the role stays as it is
		}
		for _, part := range s.all {
			if part.Name == s.role.Name || !selector.Matches(labels.Set(part.Labels)) {
				continue
			}
			if !slices.Contains(names, part.Name) {
				names = append(names, part.Name)
			}
			next.Rules = addMissing(next.Rules, part.Rules)
		}
	}
	if !equality.Semantic.DeepEqual(next.Rules, s.role.Rules) {
		p.Update(s.role, next, "it is made of %s, whose rules are others than it has", parts(names))
	}
	return p
}

func addMissing(rules, more []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for _, r := range more {
		if !slices.ContainsFunc(rules, func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, r) }) {
			rules = append(rules, r)
		}
	}
	return rules
}

func parts(names []string) string {
	if len(names) == 0 {
		return "no other role"
	}
	return strings.Join(names, ", ")
}
