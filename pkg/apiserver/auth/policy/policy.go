// Package policy is what everybody may do in a cluster that nobody has configured yet: upstream's default roles and bindings.
//
// # The problem
//
// Clients, add-ons and lessons rely on these objects by name: `kubectl create rolebinding --clusterrole=view`, Helm charts that label
// their roles to be aggregated into edit, controllers that run as system:serviceaccount:kube-system:…. Each rule has to be
// upstream's, and there are hundreds.
//
// # The flow
//
// The tables in this package are rules in words. Objects makes objects of them, which the API server writes at its start where they are
// missing; Reconcile brings those up to date that exist, by adding what they lack. From then on the objects are what counts
// (pkg/apiserver/auth/rbac): the tables give nobody any right.
//
// # The guarantees
//
//   - What is made is what v1.37 makes with its feature gates as they are by default, in upstream's order within a rule. Roles for
//     alpha features, and for beta ones that are off, are left out.
//   - What people have added to an object stays, and so does all of an object that is annotated
//     rbac.authorization.kubernetes.io/autoupdate=false.
//
// # Where it differs from upstream
//
// All controllers of Bonsai run in one process as system:kube-controller-manager. Upstream says of that case that the identity "must be granted
// all the relevant roles": so the bindings of those controllers' roles have that user as a second subject (controllers.go).
//
// Moving old data (roles from before aggregation, of v1.8; discovery for the unauthenticated, of v1.13) is left out.
package policy

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/resource"
)

// Objects returns new objects: cluster roles, their bindings, and what is in the namespaces kube-system and kube-public.
func Objects() []resource.Object {
	var out []resource.Object
	for _, r := range slices.Concat(userRoles(), componentRoles()) {
		out = append(out, r.object())
	}
	out = append(out, aggregatedRoles()...)
	for _, b := range clusterBindings() {
		out = append(out, b.clusterObject())
	}
	out = append(out, controllerObjects()...)
	return append(out, namespacedObjects()...)
}

// grant is a role in words.
type grant struct {
	name  string
	part  string // of which of the aggregated roles it is a part
	rules []rbacv1.PolicyRule
}

func (g grant) object() resource.Object {
	r := &rbacv1.ClusterRole{ObjectMeta: meta("", g.name), Rules: g.rules}
	if g.part != "" {
		r.Labels[aggregateTo+g.part] = "true"
	}
	return r
}

func (g grant) objectIn(namespace string) resource.Object {
	return &rbacv1.Role{ObjectMeta: meta(namespace, g.name), Rules: g.rules}
}

// binding gives a role to groups, users and service accounts of kube-system, each a list of words; more are users who are not upstream's.
// Role is the role's name if it is another than the binding's.
type binding struct{ name, role, groups, users, accounts, more string }

func (b binding) clusterObject() resource.Object {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: meta("", b.name), RoleRef: b.ref("ClusterRole"), Subjects: b.subjects()}
}

func (b binding) objectIn(namespace string) resource.Object {
	return &rbacv1.RoleBinding{ObjectMeta: meta(namespace, b.name), RoleRef: b.ref("Role"), Subjects: b.subjects()}
}

func (b binding) ref(kind string) rbacv1.RoleRef {
	name := b.role
	if name == "" {
		name = b.name
	}
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func (b binding) subjects() []rbacv1.Subject {
	var out []rbacv1.Subject
	add := func(names string, s rbacv1.Subject) {
		for s.Name = range strings.FieldsSeq(names) {
			out = append(out, s)
		}
	}
	user := rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName}
	add(b.groups, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName})
	add(b.users, user)
	add(b.accounts, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem})
	add(b.more, user)
	return out
}

// aggregateTo begins the labels by which a role becomes a part of another.
const aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

// The verbs that come together.
const (
	read       = "get list watch"
	write      = "create delete deletecollection patch update"
	readWrite  = read + " " + write
	readUpdate = read + " patch update"
)

// rule and urls write a PolicyRule in one line; words are separated by spaces, and "core" is the group without a name.
func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	slices.Sort(names)
	return rbacv1.PolicyRule{Verbs: words(verbs), APIGroups: words(groups), Resources: words(resources), ResourceNames: names}
}

func urls(verbs, list string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: words(verbs), NonResourceURLs: words(list)}
}

// eventsRule lets a component tell what it did.
func eventsRule() rbacv1.PolicyRule {
	return rule("create patch update", "core events.k8s.io", "events")
}

// reviewRules let a component ask who somebody is and what he may.
func reviewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("create", "authentication.k8s.io", "tokenreviews"),
		rule("create", "authorization.k8s.io", "subjectaccessreviews"),
	}
}

// words are sorted, as in upstream's objects.
func words(s string) []string {
	list := strings.Fields(s)
	if i := slices.Index(list, "core"); i >= 0 {
		list[i] = ""
	}
	slices.Sort(list)
	return list
}
