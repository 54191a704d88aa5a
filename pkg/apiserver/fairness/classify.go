package fairness

import (
	"cmp"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// Request is what a flow schema looks at.
type Request struct {
	User   string
	Groups []string
	Verb   string
	// What a rule names: Path if the request is about no resource, the others if it is.
	IsResource                              bool
	Path                                    string
	Group, Resource, Subresource, Namespace string
	// Version and Name are for people who look at what waits.
	Version, Name string
	// Reads is for those who count what waits.
	Reads bool
}

// schema is a FlowSchema at work.
type schema struct {
	name        string
	spec        *flowcontrolv1.FlowSchemaSpec
	level       *level
	uid         []string // as the header's value
	counters    *schemaCounters
	byUser      bool
	byNamespace bool
}

// inOrder sorts flow schemas by who is asked first.
func inOrder(all []*flowcontrolv1.FlowSchema) []*flowcontrolv1.FlowSchema {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *flowcontrolv1.FlowSchema) int {
		return cmp.Or(cmp.Compare(a.Spec.MatchingPrecedence, b.Spec.MatchingPrecedence), strings.Compare(a.Name, b.Name))
	})
	return all
}

// distinguisher tells the flows of one schema apart.
func (s *schema) distinguisher(r *Request) string {
	switch {
	case s.byUser:
		return r.User
	case s.byNamespace:
		return r.Namespace
	}
	return ""
}

// matches tells whether the schema is for r.
func (s *schema) matches(r *Request) bool {
	for i := range s.spec.Rules {
		rule := &s.spec.Rules[i]
		if anyOf(rule.Subjects, r, subjectMatches) && (r.IsResource && anyOf(rule.ResourceRules, r, resourceMatches) ||
			!r.IsResource && anyOf(rule.NonResourceRules, r, pathMatches)) {
			return true
		}
	}
	return false
}

func anyOf[T any](items []T, r *Request, matches func(*T, *Request) bool) bool {
	for i := range items {
		if matches(&items[i], r) {
			return true
		}
	}
	return false
}

func subjectMatches(s *flowcontrolv1.Subject, r *Request) bool {
	switch {
	case s.Kind == flowcontrolv1.SubjectKindUser && s.User != nil:
		return s.User.Name == flowcontrolv1.NameAll || s.User.Name == r.User
	case s.Kind == flowcontrolv1.SubjectKindGroup && s.Group != nil:
		return s.Group.Name == flowcontrolv1.NameAll || slices.Contains(r.Groups, s.Group.Name)
	case s.Kind == flowcontrolv1.SubjectKindServiceAccount && s.ServiceAccount != nil:
		return accountMatches(s.ServiceAccount, r.User)
	}
	return false
}

// accountMatches takes a user name apart: system:serviceaccount:NAMESPACE:NAME.
func accountMatches(s *flowcontrolv1.ServiceAccountSubject, user string) bool {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return false
	}
	namespace, name, ok := strings.Cut(rest, ":")
	return ok && namespace == s.Namespace && (s.Name == flowcontrolv1.NameAll || s.Name == name)
}

func resourceMatches(rule *flowcontrolv1.ResourcePolicyRule, r *Request) bool {
	if !has(rule.Verbs, r.Verb) || !has(rule.APIGroups, r.Group) || !hasResource(rule.Resources, r) {
		return false
	}
	if r.Namespace == "" {
		return rule.ClusterScope
	}
	return has(rule.Namespaces, r.Namespace)
}

func pathMatches(rule *flowcontrolv1.NonResourcePolicyRule, r *Request) bool {
	if !has(rule.Verbs, r.Verb) {
		return false
	}
	for _, p := range rule.NonResourceURLs {
		below := strings.TrimSuffix(strings.TrimSuffix(p, "*"), "/")
		if p == "*" || p == r.Path || strings.HasPrefix(r.Path, below) && strings.HasPrefix(r.Path[len(below):], "/") {
			return true
		}
	}
	return false
}

// has tells whether list holds v, or all there is.
func has(list []string, v string) bool {
	return len(list) == 1 && list[0] == "*" || slices.Contains(list, v)
}

// hasResource is has for resource or resource/subresource, without putting the two together.
func hasResource(list []string, r *Request) bool {
	if r.Subresource == "" {
		return has(list, r.Resource)
	}
	for _, v := range list {
		name, sub, ok := strings.Cut(v, "/")
		if ok && name == r.Resource && sub == r.Subresource {
			return true
		}
	}
	return len(list) == 1 && list[0] == "*"
}
