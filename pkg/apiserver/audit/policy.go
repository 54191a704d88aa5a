package audit

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/configfile"

	internal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/apis/audit/validation"
)

// Policy says how much of which requests is recorded.
type Policy struct{ policy *internal.Policy }

// LoadPolicy reads the audit.k8s.io/v1 Policy at path.
func LoadPolicy(path string) (*Policy, error) {
	p, err := configfile.Read[internal.Policy](path)
	if err != nil {
		return nil, fmt.Errorf("audit policy: %w", err)
	}
	if errs := validation.ValidatePolicy(p); len(errs) > 0 {
		return nil, fmt.Errorf("audit policy: %s: %w", path, errs.ToAggregate())
	}
	if len(p.Rules) == 0 {
		return nil, fmt.Errorf("audit policy: %s: loaded illegal policy with 0 rules", path)
	}
	return &Policy{p}, nil
}

// decision is what a policy says about one request.
type decision struct {
	level             auditv1.Level
	omit              []internal.Stage
	omitManagedFields bool
}

func (d decision) omits(s auditv1.Stage) bool { return slices.Contains(d.omit, internal.Stage(s)) }

// decide asks the rules in order. What none of them is about is not recorded.
func (p *Policy) decide(r auth.Request) decision {
	for i := range p.policy.Rules {
		rule := &p.policy.Rules[i]
		if !matches(rule, r) {
			continue
		}
		d := decision{auditv1.Level(rule.Level), slices.Concat(p.policy.OmitStages, rule.OmitStages), p.policy.OmitManagedFields}
		if rule.OmitManagedFields != nil {
			d.omitManagedFields = *rule.OmitManagedFields
		}
		return d
	}
	return decision{level: auditv1.LevelNone}
}

// matches says whether a rule is about r. What a rule does not speak of, it does not ask for.
func matches(rule *internal.PolicyRule, r auth.Request) bool {
	inGroup := func(g string) bool { return slices.Contains(r.User.Groups, g) }
	switch {
	case len(rule.Users) > 0 && !slices.Contains(rule.Users, r.User.Name),
		len(rule.UserGroups) > 0 && !slices.ContainsFunc(rule.UserGroups, inGroup),
		len(rule.Verbs) > 0 && !slices.Contains(rule.Verbs, r.Verb):
		return false
	case len(rule.Namespaces) > 0 || len(rule.Resources) > 0:
		return matchesResource(rule, r)
	case len(rule.NonResourceURLs) > 0:
		return !r.IsResource && slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool { return matchesPath(url, r.Path) })
	}
	return true
}

func matchesPath(url, path string) bool {
	prefix, wild := strings.CutSuffix(url, "*")
	return url == path || wild && strings.HasPrefix(path, prefix)
}

func matchesResource(rule *internal.PolicyRule, r auth.Request) bool {
	if !r.IsResource || len(rule.Namespaces) > 0 && !slices.Contains(rule.Namespaces, r.Namespace) {
		return false
	}
	return len(rule.Resources) == 0 || slices.ContainsFunc(rule.Resources, func(g internal.GroupResources) bool { return inGroup(g, r) })
}

// inGroup knows four ways to name resources: "pods" (and not its subresources), "pods/log", "pods/*", "*/scale", and "*" for all.
func inGroup(g internal.GroupResources, r auth.Request) bool {
	if g.Group != r.Group && g.Group != "*" {
		return false
	}
	if len(g.Resources) == 0 {
		return true
	}
	if len(g.ResourceNames) > 0 && !slices.Contains(g.ResourceNames, r.Name) {
		return false
	}
	whole := r.Resource
	if r.Subresource != "" {
		whole += "/" + r.Subresource
	}
	return slices.ContainsFunc(g.Resources, func(name string) bool {
		return name == whole || name == "*" || name == r.Resource+"/*" || r.Subresource != "" && name == "*/"+r.Subresource
	})
}
