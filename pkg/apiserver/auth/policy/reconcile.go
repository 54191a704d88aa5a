package policy

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"bonsai/pkg/resource"
)

// Step is what brings an object up to date.
type Step int

// The steps. A binding to another role is replaced: the role of a binding cannot be changed.
const (
	Keep Step = iota
	Update
	Replace
)

// Reconcile plans how old, which exists, comes to have all that want has. Nothing is taken from it but what would give other rights
// than want does: a rule of aggregation, a binding to another role.
func Reconcile(want, old resource.Object) (resource.Object, Step) {
	if old.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false" {
		return old, Keep
	}
	next := old.DeepCopyObject().(resource.Object)
	next.SetLabels(merged(want.GetLabels(), old.GetLabels()))
	next.SetAnnotations(merged(want.GetAnnotations(), old.GetAnnotations()))
	switch want := want.(type) {
	case *rbacv1.Role:
		addRules(&next.(*rbacv1.Role).Rules, want.Rules)
	case *rbacv1.ClusterRole:
		addRules(&next.(*rbacv1.ClusterRole).Rules, want.Rules)
		addSelectors(&next.(*rbacv1.ClusterRole).AggregationRule, want.AggregationRule)
	case *rbacv1.RoleBinding:
		b := next.(*rbacv1.RoleBinding)
		if b.RoleRef != want.RoleRef {
			return want, Replace
		}
		addSubjects(&b.Subjects, want.Subjects)
	case *rbacv1.ClusterRoleBinding:
		b := next.(*rbacv1.ClusterRoleBinding)
		if b.RoleRef != want.RoleRef {
			return want, Replace
		}
		addSubjects(&b.Subjects, want.Subjects)
	}
	if equality.Semantic.DeepEqual(next, old) {
		return old, Keep
	}
	return next, Update
}

// merged is both; what people have written holds.
func merged(ours, theirs map[string]string) map[string]string {
	out := maps.Clone(ours)
	maps.Copy(out, theirs)
	return out
}

func addRules(have *[]rbacv1.PolicyRule, want []rbacv1.PolicyRule) {
	if equality.Semantic.DeepEqual(*have, want) {
		return // nearly always, and found out sooner than right by right
	}
	_, missing := validation.Covers(*have, want)
	*have = append(*have, missing...)
}

func addSelectors(have **rbacv1.AggregationRule, want *rbacv1.AggregationRule) {
	if want == nil || *have == nil {
		*have = want
		return
	}
	for _, s := range want.ClusterRoleSelectors {
		if !slices.ContainsFunc((*have).ClusterRoleSelectors, func(h metav1.LabelSelector) bool { return equality.Semantic.DeepEqual(h, s) }) {
			(*have).ClusterRoleSelectors = append((*have).ClusterRoleSelectors, s)
		}
	}
}

func addSubjects(have *[]rbacv1.Subject, want []rbacv1.Subject) {
	for _, s := range want {
		if !slices.Contains(*have, s) {
			*have = append(*have, s)
		}
	}
}
