// Package rbac is role-based access control: who may do what, as Role, ClusterRole, RoleBinding and ClusterRoleBinding objects say.
//
// # The problem
//
// Every request is judged by these objects, and there may be thousands of bindings. To look through them all, as upstream does, takes
// longer than many a request. And they guard themselves: who may write roles must not come to more rights by that than he has.
//
// # The flow
//
// An index (index.go) leads from a subject to the roles that it has, in the whole cluster and in each namespace. It is made of live objects, and
// made again at the first question after one of them has changed; a role's rules (role.go) are sorted by resource when it is first
// asked. A question is then a few look-ups for the user and for each of its groups.
//
// Escalation (escalation.go) is asked about every write of one of the four kinds, after all changes by admission. It lets it pass if
// the writer has all rights that it grants, or may escalate, or bind.
//
// # The guarantees
//
//   - Rules only ever allow. A binding to a role that does not exist grants nothing, and a refusal says so.
//   - The words are upstream's: those of a decision, of a refusal, and of what is lacking.
//   - An answer is as new as the store's image. A right that was taken away ends with the write that took it, but for the
//     fraction of a millisecond in which the image hears of it.
//   - What a hostile role can cost is bounded by its size, not by the product of its lists (role.go, escalation.go).
//
// # Where it differs from upstream
//
// Of several bindings that allow a request, the reason names the user's before those of its groups, in the order of their names; upstream
// names any. A user that has a role by several bindings is told the role's rules once.
package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/live"
)

// Authorizer answers by RBAC objects. It also lists a user's rules, for SelfSubjectRulesReview.
type Authorizer struct{ index func() *index }

// New returns the authorizer of the objects in src, whose table must have the four kinds.
func New(src live.Source) *Authorizer {
	kind := func(r string) schema.GroupResource { return schema.GroupResource{Group: rbacv1.GroupName, Resource: r} }
	k := kinds{
		roles:               live.Follow[*rbacv1.Role](src, kind("roles")),
		clusterRoles:        live.Follow[*rbacv1.ClusterRole](src, kind("clusterroles")),
		bindings:            live.Follow[*rbacv1.RoleBinding](src, kind("rolebindings")),
		clusterRoleBindings: live.Follow[*rbacv1.ClusterRoleBinding](src, kind("clusterrolebindings")),
	}
	last := &index{}
	return &Authorizer{live.Derive(func() *index {
		last = newIndex(k.objects(), last)
		return last
	}, k.roles, k.clusterRoles, k.bindings, k.clusterRoleBindings)}
}

type kinds struct {
	roles               *live.Kind[*rbacv1.Role]
	clusterRoles        *live.Kind[*rbacv1.ClusterRole]
	bindings            *live.Kind[*rbacv1.RoleBinding]
	clusterRoleBindings *live.Kind[*rbacv1.ClusterRoleBinding]
}

func (k kinds) objects() objects {
	return objects{k.roles.All(), k.clusterRoles.All(), k.bindings.All(), k.clusterRoleBindings.All()}
}

// Authorize allows what a role of the user or of one of its groups allows, and else has no opinion.
func (a *Authorizer) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	q := questionOf(r)
	var missing []string
	for g := range a.index().grants(r.User, r.Namespace) {
		switch {
		case g.role == nil:
			missing = append(missing, g.notFound(strings.ToLower(g.ref.Kind)).Error())
		case g.role.allows(q):
			return auth.Allow, g.reason(), nil
		}
	}
	if len(missing) > 0 {
		return auth.NoOpinion, "RBAC: " + aggregate(missing), nil
	}
	return auth.NoOpinion, "", nil
}

// RulesFor returns all rules that u has in a namespace, those of the whole cluster included. The error tells of roles that are bound
// but do not exist.
func (a *Authorizer) RulesFor(u auth.User, namespace string) (list []rbacv1.PolicyRule, incomplete bool, err error) {
	var rules []rbacv1.PolicyRule
	var missing []string
	for g := range a.index().grants(u, namespace) {
		if g.role == nil {
			missing = append(missing, g.notFound(strings.ToLower(g.ref.Kind)).Error())
			continue
		}
		rules = append(rules, g.role.rules...)
	}
	if len(missing) > 0 {
		return rules, false, fmt.Errorf("%s", aggregate(missing))
	}
	return rules, false, nil
}

// aggregate is several messages in one, as apimachinery's errors.NewAggregate words it.
func aggregate(messages []string) string {
	var once []string
	for _, m := range messages {
		if !slices.Contains(once, m) {
			once = append(once, m)
		}
	}
	if len(once) == 1 {
		return once[0]
	}
	return "[" + strings.Join(once, ", ") + "]"
}
