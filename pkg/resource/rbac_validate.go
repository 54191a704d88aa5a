package resource

import (
	rbacv1 "k8s.io/api/rbac/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	atRules    = newPlace("rules")
	atRoleRef  = newPlace("roleRef")
	atSubjects = newPlace("subjects")
)

// pathName is for names that need not fit into DNS, as system:node, but must into a URL.
func pathName(name string, _ bool) []string { return path.IsValidPathSegmentName(name) }

func validateRole(r *rbacv1.Role) field.ErrorList {
	return join(validateMeta(r, true, pathName), policyRules(r.Rules, true))
}

func validateRoleUpdate(next, old *rbacv1.Role) field.ErrorList {
	return join(validateRole(next), validateMetaUpdate(next, old))
}

func validateClusterRole(r *rbacv1.ClusterRole) field.ErrorList {
	return clusterRole(r, nil)
}

func validateClusterRoleUpdate(next, old *rbacv1.ClusterRole) field.ErrorList {
	return join(clusterRole(next, old), validateMetaUpdate(next, old))
}

func clusterRole(r, old *rbacv1.ClusterRole) field.ErrorList {
	// What was stored before label values were checked may stay as it is.
	o := metavalidation.LabelSelectorValidationOptions{
		AllowInvalidLabelValueInSelector: old != nil && same(r.AggregationRule, old.AggregationRule)}
	return join(validateMeta(r, false, pathName), policyRules(r.Rules, false), aggregation(r.AggregationRule, o))
}

func aggregation(a *rbacv1.AggregationRule, o metavalidation.LabelSelectorValidationOptions) field.ErrorList {
	if a == nil {
		return nil
	}
	at := newPlace("aggregationRule", "clusterRoleSelectors")
	errs := when(len(a.ClusterRoleSelectors) == 0,
		requiredAt(at, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
	for i := range a.ClusterRoleSelectors {
		s := &a.ClusterRoleSelectors[i]
		errs = append(errs, metavalidation.ValidateLabelSelector(s, o, at.Index(i).path())...)
		if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
			errs = append(errs, invalidAt[any](at.Index(i), nil, "invalid label selector."))
		}
	}
	return errs
}

// policyRules checks the rules of a role, which has a namespace or not.
func policyRules(list []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	return locate(atRules, func(at *place) field.ErrorList {
		var errs field.ErrorList
		for i := range list {
			errs = append(errs, policyRule(&list[i], namespaced, at.Index(i))...)
			errs = append(errs, declared(when(len(list[i].Verbs) == 0, requiredAt(at.Index(i).Child("verbs"), "")))...)
		}
		return errs
	})
}

func policyRule(r *rbacv1.PolicyRule, namespaced bool, at *place) field.ErrorList {
	if len(r.NonResourceURLs) > 0 {
		at := at.Child("nonResourceURLs")
		return join(
			when(namespaced, invalidAt(at, r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")),
			when(len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0,
				invalidAt(at, r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")))
	}
	return join(
		when(len(r.APIGroups) == 0, requiredAt(at.Child("apiGroups"), "resource rules must supply at least one api group")),
		when(len(r.Resources) == 0, requiredAt(at.Child("resources"), "resource rules must supply at least one resource")))
}

func validateRoleBinding(b *rbacv1.RoleBinding) field.ErrorList { return roleBinding(b, nil) }

func roleBinding(b *rbacv1.RoleBinding, old *rbacv1.RoleRef) field.ErrorList {
	return join(validateMeta(b, true, pathName), binding(b.RoleRef, old, b.Subjects, true, "Role", "ClusterRole"))
}

func validateRoleBindingUpdate(next, old *rbacv1.RoleBinding) field.ErrorList {
	return join(roleBinding(next, &old.RoleRef), validateMetaUpdate(next, old), fixedRoleRef(next.RoleRef, old.RoleRef))
}

func validateClusterRoleBinding(b *rbacv1.ClusterRoleBinding) field.ErrorList {
	return clusterRoleBinding(b, nil)
}

func clusterRoleBinding(b *rbacv1.ClusterRoleBinding, old *rbacv1.RoleRef) field.ErrorList {
	return join(validateMeta(b, false, pathName), binding(b.RoleRef, old, b.Subjects, false, "ClusterRole"))
}

func validateClusterRoleBindingUpdate(next, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	return join(clusterRoleBinding(next, &old.RoleRef), validateMetaUpdate(next, old), fixedRoleRef(next.RoleRef, old.RoleRef))
}

// fixedRoleRef keeps a binding to its role: who may edit the subjects of a binding shall not give them another role.
func fixedRoleRef(next, old rbacv1.RoleRef) field.ErrorList {
	return bareImmutable(next, old, atRoleRef)
}

// binding checks what both kinds of binding are made of. Kinds are those of the roles that it may refer to.
func binding(ref rbacv1.RoleRef, old *rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool, kinds ...string) field.ErrorList {
	noName := when(ref.Name == "", requiredAt(atRoleRef.Child("name"), ""))
	errs := join(
		when(ref.APIGroup != rbacv1.GroupName, notSupportedAt(atRoleRef.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName})),
		oneOf(ref.Kind, atRoleRef.Child("kind"), kinds...))
	if old != nil && *old != ref { // that it changes is declared to be wrong, and nothing declared is said beside that
		errs, noName = append(errs, noName...), nil
	}
	if ref.Name != "" {
		errs = append(errs, invalid(atRoleRef.Child("name"), ref.Name, pathName(ref.Name, false))...)
	}
	errs = append(errs, locate(atSubjects, func(at *place) field.ErrorList {
		var errs field.ErrorList
		for i := range subjects {
			errs = append(errs, subject(&subjects[i], namespaced, at.Index(i))...)
			errs = append(errs, declared(when(subjects[i].Name == "", requiredAt(at.Index(i).Child("name"), "")))...)
		}
		return errs
	})...)
	return append(errs, declared(noName)...)
}

func subject(s *rbacv1.Subject, namespaced bool, at *place) field.ErrorList {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		var errs field.ErrorList
		if s.Name != "" {
			errs = invalid(at.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))
		}
		return join(errs,
			when(s.APIGroup != "", notSupportedAt(at.Child("apiGroup"), s.APIGroup, []string{""})),
			when(!namespaced && s.Namespace == "", requiredAt(at.Child("namespace"), "")))
	case rbacv1.UserKind, rbacv1.GroupKind:
		return when(s.APIGroup != rbacv1.GroupName, notSupportedAt(at.Child("apiGroup"), s.APIGroup, []string{rbacv1.GroupName}))
	}
	return oneOf(s.Kind, at.Child("kind"), rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)
}
