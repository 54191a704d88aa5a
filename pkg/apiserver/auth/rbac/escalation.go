package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"
)

// Escalation keeps users from giving, to others or to themselves, rights that they do not have. It is the last of the plugins that may
// change or refuse before an object is validated: what it judges is what will be stored. Upstream has it in the storage of the four kinds.
type Escalation struct {
	Rights     *Authorizer
	Authorizer auth.Authorizer // of the whole server, asked about the verbs escalate and bind
}

// Name implements admission.Plugin.
func (Escalation) Name() string { return "RBACEscalation" }

// Validate implements admission.Plugin.
func (Escalation) Validate(context.Context, *admission.Attributes) error { return nil }

// everything is what one must have to use aggregation, by which a role can come to any rule.
var everything = []rbacv1.PolicyRule{
	{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

// Admit refuses a role with rules that the user lacks, and a binding to such a role.
func (e Escalation) Admit(ctx context.Context, a *admission.Attributes) error {
	if a.Row.Group() != rbacv1.GroupName || a.Subresource != "" || (a.Operation != admission.Create && a.Operation != admission.Update) {
		return nil
	}
	if slices.Contains(a.User.Groups, auth.Superusers) || onlyLetsGo(a) {
		return nil
	}
	switch o := a.Object.(type) {
	case *rbacv1.Role:
		return e.role(ctx, a, o.Rules, false)
	case *rbacv1.ClusterRole:
		old, _ := a.Old.(*rbacv1.ClusterRole)
		return e.role(ctx, a, o.Rules, o.AggregationRule != nil || old != nil && old.AggregationRule != nil)
	case *rbacv1.RoleBinding:
		return e.binding(ctx, a, &o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		return e.binding(ctx, a, &o.RoleRef)
	}
	return nil
}

// onlyLetsGo is whether an update changes nothing but owners and finalizers, so that the garbage collector can remove what nobody needs.
func onlyLetsGo(a *admission.Attributes) bool {
	old, ok := a.Old.(resource.Object)
	if !ok {
		return false
	}
	next := a.Object.DeepCopyObject().(resource.Object)
	next.SetOwnerReferences(old.GetOwnerReferences())
	next.SetFinalizers(old.GetFinalizers())
	next.SetManagedFields(old.GetManagedFields())
	next.GetObjectKind().SetGroupVersionKind(a.Old.GetObjectKind().GroupVersionKind())
	return equality.Semantic.DeepEqual(runtime.Object(next), a.Old)
}

func (e Escalation) role(ctx context.Context, a *admission.Attributes, rules []rbacv1.PolicyRule, aggregated bool) error {
	if e.may(ctx, a, "escalate", a.Row.Resource, a.PathName) {
		return nil
	}
	if err := e.Rights.confirm(a.User, a.Namespace, rules); err != nil {
		return forbidden(a, err)
	}
	if aggregated && e.Rights.confirm(a.User, a.Namespace, everything) != nil {
		return forbidden(a, errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func (e Escalation) binding(ctx context.Context, a *admission.Attributes, ref *rbacv1.RoleRef) error {
	resources := map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}[ref.Kind]
	if resources == "" {
		return fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
	}
	if e.may(ctx, a, "bind", resources, ref.Name) {
		return nil
	}
	r := e.Rights.index().lookUp(ref, a.Namespace)
	if r == nil {
		return source{ref: ref}.notFound(a.Row.Resource) // upstream names the binding's kind
	}
	if err := e.Rights.confirm(a.User, a.Namespace, r.rules); err != nil {
		return forbidden(a, err)
	}
	return nil
}

// may asks the server's authorizers about one of the verbs that lift the check.
func (e Escalation) may(ctx context.Context, a *admission.Attributes, verb, resources, name string) bool {
	d, _, err := e.Authorizer.Authorize(ctx, auth.Request{
		User: a.User, Verb: verb, Group: rbacv1.GroupName, Version: "*", Resource: resources,
		Namespace: a.Namespace, Name: name, IsResource: true,
	})
	return err == nil && d == auth.Allow
}

func forbidden(a *admission.Attributes, err error) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: rbacv1.GroupName, Resource: a.Row.Resource}, a.Name, err)
}

// confirm says what of rules the user lacks in a namespace or, without one, in the cluster.
func (a *Authorizer) confirm(u auth.User, namespace string, rules []rbacv1.PolicyRule) error {
	var roles []*role
	var broken []string
	for g := range a.index().grants(u, namespace) {
		if g.role == nil {
			broken = append(broken, g.notFound(strings.ToLower(g.ref.Kind)+"s").Error())
			continue
		}
		roles = append(roles, g.role)
	}
	missing, err := lacking(roles, rules)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		u.Name, u.Groups, strings.Join(describe(missing), "\n"))
	if len(broken) > 0 {
		text += fmt.Sprintf("; resolution errors: [%s]", aggregate(broken))
	}
	return errors.New(text)
}
