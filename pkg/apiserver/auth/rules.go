package auth

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// allows says whether one of rules covers r.
func allows(rules []rbacv1.PolicyRule, r Request) bool {
	return slices.ContainsFunc(rules, func(p rbacv1.PolicyRule) bool { return covers(p, r) })
}

func covers(p rbacv1.PolicyRule, r Request) bool {
	if !has(p.Verbs, r.Verb) {
		return false
	}
	if !r.IsResource {
		return slices.ContainsFunc(p.NonResourceURLs, func(url string) bool { return matchesPath(url, r.Path) })
	}
	return has(p.APIGroups, r.Group) && hasResource(p.Resources, r.Resource, r.Subresource) &&
		(len(p.ResourceNames) == 0 || slices.Contains(p.ResourceNames, r.Name))
}

// has says whether list names s or everything.
func has(list []string, s string) bool {
	return slices.Contains(list, rbacv1.VerbAll) || slices.Contains(list, s)
}

// hasResource knows three forms: "pods/log", "*/scale" (that subresource of everything), and "*".
func hasResource(list []string, resource, sub string) bool {
	if sub == "" {
		return has(list, resource)
	}
	return has(list, resource+"/"+sub) || slices.Contains(list, "*/"+sub)
}

// matchesPath compares a path with a URL, whose last character may be a star.
func matchesPath(url, path string) bool {
	if prefix, ok := strings.CutSuffix(url, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return url == path
}
