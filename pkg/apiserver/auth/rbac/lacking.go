package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A rule stands for all combinations of its verbs, groups, resources and names: its single rights. Whoever grants it must have each,
// be it by another rule. They are looked at one by one only if no rule of the user has them all, and only if that is not too much to do:
// three lists that fit into a request can stand for more rights than there is time to look at.

// Bounds of one request: of the single rights that are looked at, and of the comparisons for it. Upstream has none.
const (
	mostRights = 1 << 16
	mostEffort = 1 << 24
)

var errTooMuch = fmt.Errorf("the rules stand for too many single rights (more than %d, or held by too many rules) to find out whether all are held; "+
	"who holds each rule as a whole may grant them", mostRights)

// lacking returns those of the single rights of rules that none of the roles has.
func lacking(has []*role, rules []rbacv1.PolicyRule) ([]rbacv1.PolicyRule, error) {
	var missing []rbacv1.PolicyRule
	count, effort := 0, 0
	for i := range rules {
		r := &rules[i]
		if effort += wholeEffort(has); effort > mostEffort {
			return nil, errTooMuch
		}
		if heldWhole(has, r) {
			continue
		}
		if count += rights(r); count > mostRights {
			return nil, errTooMuch
		}
		for right := range each(r) {
			q := asked(right)
			held := slices.ContainsFunc(has, func(h *role) bool {
				effort += h.effort(q)
				return h.allows(q)
			})
			if effort > mostEffort {
				return nil, errTooMuch
			}
			if !held {
				missing = append(missing, right)
			}
		}
	}
	return missing, nil
}

// rights counts the single rights of r, up to somewhat more than the bound.
func rights(r *rbacv1.PolicyRule) int {
	n := 1
	for _, k := range []int{len(r.APIGroups), len(r.Resources), len(r.Verbs), max(1, len(r.ResourceNames))} {
		n = min(n*k, mostRights+1)
	}
	return n + min(len(r.NonResourceURLs)*len(r.Verbs), mostRights+1)
}

// each yields the single rights of r.
func each(r *rbacv1.PolicyRule) func(func(rbacv1.PolicyRule) bool) {
	names := r.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	return func(yield func(rbacv1.PolicyRule) bool) {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					for _, name := range names {
						one := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}}
						if len(r.ResourceNames) > 0 {
							one.ResourceNames = []string{name}
						}
						if !yield(one) {
							return
						}
					}
				}
			}
		}
		for _, url := range r.NonResourceURLs {
			for _, verb := range r.Verbs {
				if !yield(rbacv1.PolicyRule{NonResourceURLs: []string{url}, Verbs: []string{verb}}) {
					return
				}
			}
		}
	}
}

// asked is a single right as a question. It differs from a request's in that no name means all names.
func asked(right rbacv1.PolicyRule) question {
	if len(right.NonResourceURLs) > 0 {
		return question{verb: right.Verbs[0], path: right.NonResourceURLs[0], isPath: true}
	}
	q := question{verb: right.Verbs[0], group: right.APIGroups[0], resource: right.Resources[0]}
	if _, sub, ok := strings.Cut(q.resource, "/"); ok {
		q.part = "*/" + sub
	}
	if len(right.ResourceNames) > 0 {
		q.name, q.named = right.ResourceNames[0], true
	}
	return q
}

// heldWhole says whether one rule of the roles has all that r stands for: a quick yes for who has plenty.
func heldWhole(has []*role, r *rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(has, func(h *role) bool {
		return slices.ContainsFunc(h.rules, func(own rbacv1.PolicyRule) bool {
			return covers(own.Verbs, r.Verbs) && covers(own.APIGroups, r.APIGroups) && covers(own.Resources, r.Resources) &&
				covers(own.NonResourceURLs, r.NonResourceURLs) &&
				(len(own.ResourceNames) == 0 || slices.Equal(own.ResourceNames, r.ResourceNames))
		})
	})
}

func wholeEffort(has []*role) (n int) {
	for _, h := range has {
		h.once.Do(h.sort)
		n += 1 + h.size
	}
	return n
}

// covers says whether a list has everything, or just what the other has.
func covers(own, other []string) bool {
	return len(other) == 0 || slices.Contains(own, "*") || slices.Equal(own, other)
}

// describe words rights as upstream does: those that differ by verb in one line, and the lines sorted.
func describe(rights []rbacv1.PolicyRule) []string {
	var lines []string
	verbs := map[schema.GroupResource][]string{}
	for _, r := range rights {
		if len(r.ResourceNames) > 0 || len(r.NonResourceURLs) > 0 {
			lines = append(lines, compact(r))
			continue
		}
		gr := schema.GroupResource{Group: r.APIGroups[0], Resource: r.Resources[0]}
		verbs[gr] = append(verbs[gr], r.Verbs...)
	}
	for gr, v := range verbs {
		lines = append(lines, compact(rbacv1.PolicyRule{APIGroups: []string{gr.Group}, Resources: []string{gr.Resource}, Verbs: v}))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// compact is a rule in one line.
func compact(r rbacv1.PolicyRule) string {
	var parts []string
	for _, part := range []struct {
		name string
		list []string
	}{{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs}, {"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs}} {
		if len(part.list) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.list))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
