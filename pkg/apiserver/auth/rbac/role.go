package rbac

import (
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"

	"bonsai/pkg/apiserver/auth"
)

// A role's rules are sorted by the resources that they name when the role is first asked. A request about pods/log looks at the rules
// for "pods/log", for "*/log" and for "*", and reads only their verbs, groups and names. To sort by group and verb as well would make
// as many entries as there are combinations, which in a role made to do harm are more than fit into memory.

// role is the rules of a Role or a ClusterRole.
type role struct {
	rules []rbacv1.PolicyRule
	from  any // the object, by which a changed role is known from an unchanged one

	once       sync.Once
	byResource map[string][]*sortedRule
	forPaths   []*sortedRule
	size       int // how many words all rules have
}

// sortedRule is a rule with its lists ready to be looked up in.
type sortedRule struct {
	verbs, groups, names set
	urls                 []string
}

func (r *role) sort() {
	r.byResource = map[string][]*sortedRule{}
	for i := range r.rules {
		p := &r.rules[i]
		s := &sortedRule{newSet(p.Verbs), newSet(p.APIGroups), newSet(p.ResourceNames), p.NonResourceURLs}
		r.size += len(p.Verbs) + len(p.APIGroups) + len(p.ResourceNames) + len(p.NonResourceURLs) + len(p.Resources)
		if len(p.NonResourceURLs) > 0 {
			r.forPaths = append(r.forPaths, s)
		}
		for _, name := range p.Resources {
			list := r.byResource[name]
			if len(list) == 0 || list[len(list)-1] != s { // a list may name it twice
				r.byResource[name] = append(list, s)
			}
		}
	}
}

// set is a list of a rule. Few words are compared one by one, many are looked up.
type set struct {
	few  []string
	many map[string]bool
}

func newSet(list []string) set {
	const few = 12
	if len(list) <= few {
		return set{few: list}
	}
	s := set{many: make(map[string]bool, len(list))}
	for _, l := range list {
		s.many[l] = true
	}
	return s
}

func (s *set) empty() bool { return len(s.few) == 0 && len(s.many) == 0 }

// has says whether the set names s exactly.
func (s *set) has(word string) bool {
	if s.many != nil {
		return s.many[word]
	}
	return slices.Contains(s.few, word)
}

// covers says whether the set names s or everything.
func (s *set) covers(word string) bool { return s.has(word) || s.has("*") }

// question is a request, or one right, as roles are asked about it.
type question struct {
	verb, group    string
	resource, part string // "pods/log" and "*/log"; part is empty if no subresource is asked for
	name           string
	named          bool // a rule for certain names matches by name; else no such rule does
	path           string
	isPath         bool
}

func questionOf(r auth.Request) question {
	if !r.IsResource {
		return question{verb: r.Verb, path: r.Path, isPath: true}
	}
	q := question{verb: r.Verb, group: r.Group, resource: r.Resource, name: r.Name, named: true}
	if r.Subresource != "" {
		q.resource += "/" + r.Subresource
		q.part = "*/" + r.Subresource
	}
	return q
}

// allows says whether one of the rules allows it.
func (r *role) allows(q question) bool {
	r.once.Do(r.sort)
	if q.isPath {
		return slices.ContainsFunc(r.forPaths, func(p *sortedRule) bool { return p.verbs.covers(q.verb) && leadsTo(p.urls, q.path) })
	}
	return q.allowedBy(r.byResource[q.resource]) || q.resource != "*" && q.allowedBy(r.byResource["*"]) ||
		q.part != "" && q.allowedBy(r.byResource[q.part])
}

// allowedBy looks at rules that are about the resource.
func (q *question) allowedBy(rules []*sortedRule) bool {
	for _, p := range rules {
		if p.verbs.covers(q.verb) && p.groups.covers(q.group) && (p.names.empty() || q.named && p.names.has(q.name)) {
			return true
		}
	}
	return false
}

// effort is how many rules allows has to look at, at most.
func (r *role) effort(q question) int {
	r.once.Do(r.sort)
	if q.isPath {
		return r.size
	}
	return 1 + len(r.byResource[q.resource]) + len(r.byResource["*"]) + len(r.byResource[q.part])
}

// leadsTo compares a path with URLs, whose last character may be a star.
func leadsTo(urls []string, path string) bool {
	for _, url := range urls {
		if url == path || strings.HasSuffix(url, "*") && strings.HasPrefix(path, strings.TrimRight(url, "*")) {
			return true
		}
	}
	return false
}
