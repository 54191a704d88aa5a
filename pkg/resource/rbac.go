package resource

import (
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1" // whose words the columns have
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The four kinds of role-based access control are two pairs that differ in little but whether they have a namespace: a role is a
// list of rules, a binding gives a role to subjects. Who may write which of them is more than a matter of their kind: pkg/apiserver/auth/rbac.

func roles() *Row {
	return Row{
		Resource: "roles", Singular: "role", Kind: "Role",
		Namespaced: true,
		Versions:   []Version{servedAs[rbacv1.Role, rbacv1.RoleList](rbacv1.SchemeGroupVersion)},
		Prefix:     "roles",
		Columns:    []metav1.TableColumnDefinition{nameColumn, createdAtColumn},

		CreateOnUpdate: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*rbacv1.Role]{
		Default:        func(r *rbacv1.Role) { noneIfEmpty(&r.Rules) },
		Validate:       validateRole,
		ValidateUpdate: validateRoleUpdate,
		Cells:          func(r *rbacv1.Role, _ time.Time) []any { return []any{r.Name, createdAt(r)} },
	}))
}

func clusterRoles() *Row {
	return Row{
		Resource: "clusterroles", Singular: "clusterrole", Kind: "ClusterRole",
		Versions: []Version{servedAs[rbacv1.ClusterRole, rbacv1.ClusterRoleList](rbacv1.SchemeGroupVersion)},
		Prefix:   "clusterroles",
		Columns:  []metav1.TableColumnDefinition{nameColumn, createdAtColumn},

		CreateOnUpdate: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*rbacv1.ClusterRole]{
		Default:        func(r *rbacv1.ClusterRole) { noneIfEmpty(&r.Rules) },
		Validate:       validateClusterRole,
		ValidateUpdate: validateClusterRoleUpdate,
		Cells:          func(r *rbacv1.ClusterRole, _ time.Time) []any { return []any{r.Name, createdAt(r)} },
	}))
}

func roleBindings() *Row {
	return Row{
		Resource: "rolebindings", Singular: "rolebinding", Kind: "RoleBinding",
		Namespaced: true,
		Versions:   []Version{servedAs[rbacv1.RoleBinding, rbacv1.RoleBindingList](rbacv1.SchemeGroupVersion)},
		Prefix:     "rolebindings",
		Columns:    bindingColumns(rbacv1beta1.RoleBinding{}.SwaggerDoc()["roleRef"], "roleBinding"),

		CreateOnUpdate: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*rbacv1.RoleBinding]{
		Default:        func(b *rbacv1.RoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
		Validate:       validateRoleBinding,
		ValidateUpdate: validateRoleBindingUpdate,
		Cells: func(b *rbacv1.RoleBinding, now time.Time) []any {
			return bindingCells(b, b.RoleRef, b.Subjects, now)
		},
	}))
}

func clusterRoleBindings() *Row {
	return Row{
		Resource: "clusterrolebindings", Singular: "clusterrolebinding", Kind: "ClusterRoleBinding",
		Versions: []Version{servedAs[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBindingList](rbacv1.SchemeGroupVersion)},
		Prefix:   "clusterrolebindings",
		Columns:  bindingColumns(rbacv1beta1.ClusterRoleBinding{}.SwaggerDoc()["roleRef"], "clusterRoleBinding"),

		CreateOnUpdate: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*rbacv1.ClusterRoleBinding]{
		Default:        func(b *rbacv1.ClusterRoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
		Validate:       validateClusterRoleBinding,
		ValidateUpdate: validateClusterRoleBindingUpdate,
		Cells: func(b *rbacv1.ClusterRoleBinding, now time.Time) []any {
			return bindingCells(b, b.RoleRef, b.Subjects, now)
		},
	}))
}

func defaultBinding(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	or(&ref.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if s := &subjects[i]; s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind {
			or(&s.APIGroup, rbacv1.GroupName)
		}
	}
}

func bindingColumns(roleRef, kind string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn, column("Role", roleRef), ageColumn,
		wide("Users", "Users in the "+kind), wide("Groups", "Groups in the "+kind), wide("ServiceAccounts", "ServiceAccounts in the "+kind),
	}
}

func bindingCells(b Object, ref rbacv1.RoleRef, subjects []rbacv1.Subject, now time.Time) []any {
	return []any{
		b.GetName(), ref.Kind + "/" + ref.Name, age(b, now),
		subjectNames(subjects, rbacv1.UserKind), subjectNames(subjects, rbacv1.GroupKind), subjectNames(subjects, rbacv1.ServiceAccountKind),
	}
}

func subjectNames(subjects []rbacv1.Subject, kind string) string {
	var names []string
	for _, s := range subjects {
		if s.Kind != kind {
			continue
		}
		if kind == rbacv1.ServiceAccountKind && s.Namespace != "" {
			s.Name = s.Namespace + "/" + s.Name
		}
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
