package rbac

import (
	"fmt"
	"iter"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/pkg/apiserver/auth"
)

// objects are all of the four kinds, in the order of their names.
type objects struct {
	roles               []*rbacv1.Role
	clusterRoles        []*rbacv1.ClusterRole
	bindings            []*rbacv1.RoleBinding
	clusterRoleBindings []*rbacv1.ClusterRoleBinding
}

// index leads from subjects to what they were granted. It does not change once it is made, but for what grants and roles
// work out when they are first asked.
type index struct {
	cluster    scope
	namespaces map[string]scope
	roles      map[roleKey]*role
}

// roleKey names a role; namespace is empty for cluster roles.
type roleKey struct{ namespace, name string }

// scope is where grants hold: the cluster, or one namespace. Service accounts are users.
type scope struct{ users, groups map[string][]*grant }

// source is a binding: its name and namespace, and the role it refers to.
type source struct {
	name, namespace string
	ref             *rbacv1.RoleRef
}

// grant is a role that a binding gives to one subject.
type grant struct {
	source
	role    *role // nil: there is no such role
	subject *rbacv1.Subject
	words   atomic.Pointer[string]
}

// newIndex makes the index of what there is. Roles that have not changed since last are taken from there, as they have their rules sorted.
func newIndex(o objects, last *index) *index {
	x := &index{namespaces: map[string]scope{}, roles: make(map[roleKey]*role, len(o.roles)+len(o.clusterRoles))}
	for _, r := range o.clusterRoles {
		x.addRole(roleKey{"", r.Name}, r.Rules, r, last)
	}
	for _, r := range o.roles {
		x.addRole(roleKey{r.Namespace, r.Name}, r.Rules, r, last)
	}
	x.cluster = newScope()
	seen := map[holding]bool{}
	for _, b := range o.clusterRoleBindings {
		x.bind(x.cluster, seen, source{b.Name, "", &b.RoleRef}, b.Subjects)
	}
	for _, b := range o.bindings { // in the order of their namespaces
		s, ok := x.namespaces[b.Namespace]
		if !ok {
			s = newScope()
			x.namespaces[b.Namespace] = s
			clear(seen)
		}
		x.bind(s, seen, source{b.Name, b.Namespace, &b.RoleRef}, b.Subjects)
	}
	return x
}

func newScope() scope { return scope{map[string][]*grant{}, map[string][]*grant{}} }

func (x *index) addRole(key roleKey, rules []rbacv1.PolicyRule, from any, last *index) {
	if known := last.roles[key]; known != nil && known.from == from {
		x.roles[key] = known
		return
	}
	x.roles[key] = &role{rules: rules, from: from}
}

// holding is that a subject has a role in one scope: to be told so once is enough.
type holding struct {
	list    string
	subject string
	role    *role
}

// bind grants the role of a binding to its subjects.
func (x *index) bind(s scope, seen map[holding]bool, from source, subjects []rbacv1.Subject) {
	r := x.lookUp(from.ref, from.namespace)
	for i := range subjects {
		list, name := s.users, subjects[i].Name
		switch subjects[i].Kind {
		case rbacv1.GroupKind:
			list = s.groups
		case rbacv1.ServiceAccountKind:
			if name = accountUser(&subjects[i], from.namespace); name == "" {
				continue
			}
		case rbacv1.UserKind:
		default:
			continue
		}
		h := holding{subjects[i].Kind, name, r}
		if r != nil && seen[h] {
			continue
		}
		seen[h] = true
		list[name] = append(list[name], &grant{source: from, role: r, subject: &subjects[i]})
	}
}

// accountUser is the user name of a service account. One without a namespace is of the binding's.
func accountUser(s *rbacv1.Subject, namespace string) string {
	if s.Namespace != "" {
		namespace = s.Namespace
	}
	if namespace == "" {
		return ""
	}
	return "system:serviceaccount:" + namespace + ":" + s.Name
}

// lookUp finds the role that a binding in a namespace (or in none) refers to.
func (x *index) lookUp(ref *rbacv1.RoleRef, namespace string) *role {
	switch ref.Kind {
	case "ClusterRole":
		return x.roles[roleKey{"", ref.Name}]
	case "Role":
		if namespace != "" {
			return x.roles[roleKey{namespace, ref.Name}]
		}
	}
	return nil
}

// grants are those of a user and its groups, in the cluster and then in a namespace if one is named.
func (x *index) grants(u auth.User, namespace string) iter.Seq[*grant] {
	return func(yield func(*grant) bool) {
		if !x.cluster.each(u, yield) || namespace == "" {
			return
		}
		if s, ok := x.namespaces[namespace]; ok {
			s.each(u, yield)
		}
	}
}

// each yields the grants of a user and its groups, and reports whether more are wanted.
func (s scope) each(u auth.User, yield func(*grant) bool) bool {
	for _, g := range s.users[u.Name] {
		if !yield(g) {
			return false
		}
	}
	for _, group := range u.Groups {
		for _, g := range s.groups[group] {
			if !yield(g) {
				return false
			}
		}
	}
	return true
}

// reason says by what a request was allowed. It is worded once: who watches has many requests allowed by the same grant.
func (g *grant) reason() string {
	if w := g.words.Load(); w != nil {
		return *w
	}
	binding, name := "ClusterRoleBinding", g.name
	if g.namespace != "" {
		binding, name = "RoleBinding", g.name+"/"+g.namespace
	}
	w := fmt.Sprintf("RBAC: allowed by %s %q of %s %q to %s", binding, name, g.ref.Kind, g.ref.Name, g.to())
	g.words.Store(&w)
	return w
}

// to names the subject.
func (g *grant) to() string {
	name := g.subject.Name
	if g.subject.Kind == rbacv1.ServiceAccountKind {
		namespace := g.subject.Namespace
		if namespace == "" {
			namespace = g.namespace
		}
		name += "/" + namespace
	}
	return fmt.Sprintf("%s %q", g.subject.Kind, name)
}

// notFound says that the role does not exist. Upstream's authorizer names the resource in the singular, its storage in the plural.
func (s source) notFound(resource string) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, s.ref.Name)
}
