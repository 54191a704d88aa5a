package auth

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Grant gives the rules of a role to users and groups: a ClusterRole and its ClusterRoleBinding of the same name.
type Grant struct {
	Role          string
	Users, Groups []string
	Rules         []rbacv1.PolicyRule
}

// Grants is an Authorizer that reads a table.
type Grants []Grant

// subject returns how RBAC names the user or group of u that g is for, or "".
func (g Grant) subject(u User) string {
	if slices.Contains(g.Users, u.Name) {
		return fmt.Sprintf("User %q", u.Name)
	}
	for _, group := range g.Groups {
		if slices.Contains(u.Groups, group) {
			return fmt.Sprintf("Group %q", group)
		}
	}
	return ""
}

// Authorize allows what a grant to the user or one of its groups covers.
func (gs Grants) Authorize(_ context.Context, r Request) (Decision, string, error) {
	for _, g := range gs {
		if s := g.subject(r.User); s != "" && allows(g.Rules, r) {
			return Allow, fmt.Sprintf("RBAC: allowed by ClusterRoleBinding %q of ClusterRole %q to %s", g.Role, g.Role, s), nil
		}
	}
	return NoOpinion, "", nil
}

// RulesFor returns all rules that u has.
func (gs Grants) RulesFor(u User) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, g := range gs {
		if g.subject(u) != "" {
			rules = append(rules, g.Rules...)
		}
	}
	return rules
}

// rule and urls write a PolicyRule in one line; words are separated by spaces, and "core" is the group without a name.
func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: words(verbs), APIGroups: words(groups), Resources: words(resources), ResourceNames: names}
}

func urls(verbs, list string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: words(verbs), NonResourceURLs: words(list)}
}
