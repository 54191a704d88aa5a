package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const defaultMatchingPrecedence = 1000

func flowSchemas() *Row {
	spec := flowcontrolv1.FlowSchemaSpec{}.SwaggerDoc()
	return Row{
		Resource: "flowschemas", Singular: "flowschema", Kind: "FlowSchema",
		Versions: []Version{servedAs[flowcontrolv1.FlowSchema, flowcontrolv1.FlowSchemaList](flowcontrolv1.SchemeGroupVersion)},
		Prefix:   "flowschemas",
		Unowned:  map[string][]string{"status": {"metadata", "spec"}},
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("PriorityLevel", flowcontrolv1.PriorityLevelConfigurationReference{}.SwaggerDoc()["name"]),
			column("MatchingPrecedence", spec["matchingPrecedence"]),
			column("DistinguisherMethod", spec["distinguisherMethod"]),
			ageColumn,
			column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*flowcontrolv1.FlowSchema]{
		Default: defaultFlowSchema,
		PrepareCreate: func(f *flowcontrolv1.FlowSchema) {
			f.Status, f.Generation = flowcontrolv1.FlowSchemaStatus{}, 1
		},
		PrepareUpdate: func(next, old *flowcontrolv1.FlowSchema) {
			next.Status = old.Status
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: validateFlowSchema,
		ValidateUpdate: func(next, old *flowcontrolv1.FlowSchema) field.ErrorList {
			return join(validateMetaUpdate(next, old), validateFlowSchema(next))
		},
		PrepareStatus: func(next, old *flowcontrolv1.FlowSchema) {
			metav1.ResetObjectMetaForStatus(next, old)
			next.Spec = old.Spec
		},
		ValidateStatus: func(next, old *flowcontrolv1.FlowSchema) field.ErrorList {
			return join(validateMetaUpdate(next, old), validateFlowSchemaStatus(next))
		},
		Cells:    flowSchemaCells,
		Together: inMatchingOrder,
	}))
}

func defaultFlowSchema(f *flowcontrolv1.FlowSchema) {
	or(&f.Spec.MatchingPrecedence, defaultMatchingPrecedence)
	for i := range f.Spec.Rules {
		for j := range f.Spec.Rules[i].ResourceRules {
			noneIfEmpty(&f.Spec.Rules[i].ResourceRules[j].Namespaces)
		}
	}
}

func flowSchemaCells(f *flowcontrolv1.FlowSchema, now time.Time) []any {
	level, method, missing := f.Spec.PriorityLevelConfiguration.Name, "<none>", "?"
	if level == "" {
		level = "<none>"
	}
	if f.Spec.DistinguisherMethod != nil {
		method = string(f.Spec.DistinguisherMethod.Type)
	}
	for _, c := range f.Status.Conditions {
		if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
			missing = string(c.Status)
		}
	}
	return []any{f.Name, level, int64(f.Spec.MatchingPrecedence), method, age(f, now), missing}
}

// inMatchingOrder brings a list into the order in which requests try them.
func inMatchingOrder(_ []*flowcontrolv1.FlowSchema, lines []metav1.TableRow) {
	slices.SortStableFunc(lines, func(a, b metav1.TableRow) int { return cmp.Compare(a.Cells[2].(int64), b.Cells[2].(int64)) })
}

func validateFlowSchema(f *flowcontrolv1.FlowSchema) field.ErrorList {
	return join(validateMeta(f, false, subdomainName), validateFlowSchemaBody(f))
}

// validateFlowSchemaBody is all but the metadata. The mandatory ones are what keeps a cluster reachable, so that nobody may change them.
func validateFlowSchemaBody(f *flowcontrolv1.FlowSchema) field.ErrorList {
	errs := validateFlowSchemaSpec(f, newPlace("spec"))
	for _, m := range MandatoryFlowSchemas() {
		if m.Name == f.Name && !same(f.Spec, m.Spec) {
			errs = append(errs, invalidGoAt(newPlace("spec"), f.Spec, fmt.Sprintf("spec of '%s' must equal the fixed value", f.Name)))
		}
	}
	return append(errs, validateFlowSchemaStatus(f)...)
}

func validateFlowSchemaSpec(f *flowcontrolv1.FlowSchema, path *place) field.ErrorList {
	s, precedence := &f.Spec, path.Child("matchingPrecedence")
	errs := join(
		when(s.MatchingPrecedence <= 0, invalidAt(precedence, s.MatchingPrecedence, "must be a positive value")),
		when(s.MatchingPrecedence > flowcontrolv1.FlowSchemaMaxMatchingPrecedence, invalidAt(precedence, s.MatchingPrecedence,
			fmt.Sprintf("must not be greater than %v", flowcontrolv1.FlowSchemaMaxMatchingPrecedence))),
		when(s.MatchingPrecedence == 1 && f.Name != flowcontrolv1.FlowSchemaNameExempt, invalidAt(precedence, s.MatchingPrecedence,
			"only the schema named 'exempt' may have matchingPrecedence 1")),
	)
	if m := s.DistinguisherMethod; m != nil && m.Type != flowcontrolv1.FlowDistinguisherMethodByUserType &&
		m.Type != flowcontrolv1.FlowDistinguisherMethodByNamespaceType {
		errs = append(errs, notSupportedAt(path.Child("distinguisherMethod", "type"), inGoNames{*m}, []string{"ByNamespace", "ByUser"}))
	}
	level := path.Child("priorityLevelConfiguration", "name")
	if s.PriorityLevelConfiguration.Name == "" {
		errs = append(errs, requiredAt(level, "must reference a priority level"))
	} else {
		errs = append(errs, dnsSubdomain(s.PriorityLevelConfiguration.Name, level)...)
	}
	return append(errs, each(s.Rules, path.Child("rules"), flowRule)...)
}

func flowRule(r *flowcontrolv1.PolicyRulesWithSubjects, path *place) field.ErrorList {
	var errs field.ErrorList
	if len(r.Subjects) == 0 {
		errs = append(errs, requiredAt(path.Child("subjects"), "subjects must contain at least one value"))
	}
	errs = append(errs, each(r.Subjects, path.Child("subjects"), flowSubject)...)
	if len(r.ResourceRules) == 0 && len(r.NonResourceRules) == 0 {
		errs = append(errs, requiredAt(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
	}
	return join(errs, each(r.ResourceRules, path.Child("resourceRules"), flowResourceRule),
		each(r.NonResourceRules, path.Child("nonResourceRules"), flowPathRule))
}

// flowSubject wants the one of the three members that the kind names, and none of the others.
func flowSubject(s *flowcontrolv1.Subject, path *place) field.ErrorList {
	account, user, group := path.Child("serviceAccount"), path.Child("user"), path.Child("group")
	noAccount := when(s.ServiceAccount != nil, forbiddenAt(account, "serviceAccount is forbidden when subject kind is not 'ServiceAccount'"))
	noUser := when(s.User != nil, forbiddenAt(user, "user is forbidden when subject kind is not 'User'"))
	noGroup := when(s.Group != nil, forbiddenAt(group, "group is forbidden when subject kind is not 'Group'"))
	switch s.Kind {
	case flowcontrolv1.SubjectKindServiceAccount:
		return join(flowServiceAccount(s.ServiceAccount, account), noUser, noGroup)
	case flowcontrolv1.SubjectKindUser:
		if s.User == nil {
			return join(field.ErrorList{requiredAt(user, "user is required when subject kind is 'User'")}, noAccount, noGroup)
		}
		return join(present(s.User.Name, user.Child("name")), noAccount, noGroup)
	case flowcontrolv1.SubjectKindGroup:
		if s.Group == nil {
			return join(field.ErrorList{requiredAt(group, "group is required when subject kind is 'Group'")}, noAccount, noUser)
		}
		return join(present(s.Group.Name, group.Child("name")), noAccount, noUser)
	}
	return field.ErrorList{notSupportedAt(path.Child("kind"), s.Kind, []string{"Group", "ServiceAccount", "User"})}
}

func flowServiceAccount(s *flowcontrolv1.ServiceAccountSubject, path *place) field.ErrorList {
	if s == nil {
		return field.ErrorList{requiredAt(path, "serviceAccount is required when subject kind is 'ServiceAccount'")}
	}
	errs := present(s.Name, path.Child("name"))
	if s.Name != "" && s.Name != flowcontrolv1.NameAll {
		errs = invalid(path.Child("name"), s.Name, apivalidation.ValidateServiceAccountName(s.Name, false))
	}
	if s.Namespace == "" {
		return append(errs, requiredAt(path.Child("namespace"), "must specify namespace for service account"))
	}
	return append(errs, invalid(path.Child("namespace"), s.Namespace, apivalidation.ValidateNamespaceName(s.Namespace, false))...)
}

var flowVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"}

func flowVerbList(verbs []string, path *place) field.ErrorList {
	switch {
	case len(verbs) == 0:
		return field.ErrorList{requiredAt(path, "verbs must contain at least one value")}
	case slices.Contains(verbs, "*"):
		return when(len(verbs) > 1, invalidAt(path, verbs, "if '*' is present, must not specify other verbs"))
	}
	unknown := slices.ContainsFunc(verbs, func(v string) bool { return !slices.Contains(flowVerbs, v) })
	return when(unknown, notSupportedAt(path, verbs, flowVerbs))
}

// flowList wants something in a list, and nothing beside a star.
func flowList(values []string, path *place, none, star string) field.ErrorList {
	return join(
		when(len(values) == 0, requiredAt(path, none)),
		when(len(values) > 1 && slices.Contains(values, "*"), invalidAt(path, values, star)),
	)
}

func flowResourceRule(r *flowcontrolv1.ResourcePolicyRule, path *place) field.ErrorList {
	errs := join(
		flowVerbList(r.Verbs, path.Child("verbs")),
		flowList(r.APIGroups, path.Child("apiGroups"),
			"resource rules must supply at least one api group", "if '*' is present, must not specify other api groups"),
		flowList(r.Resources, path.Child("resources"),
			"resource rules must supply at least one resource", "if '*' is present, must not specify other resources"),
	)
	at := path.Child("namespaces")
	switch {
	case len(r.Namespaces) == 0 && !r.ClusterScope:
		return append(errs, requiredAt(at, "resource rules that are not cluster scoped must supply at least one namespace"))
	case slices.Contains(r.Namespaces, "*"):
		return append(errs, when(len(r.Namespaces) > 1,
			invalidAt(at, r.Namespaces, "if '*' is present, must not specify other namespaces"))...)
	}
	for i, ns := range r.Namespaces {
		for _, m := range apivalidation.ValidateNamespaceName(ns, false) {
			errs = append(errs, invalidAt(at.Index(i), ns, "each member of this list must be '*' or a DNS-1123 label; "+m))
		}
	}
	return errs
}

func flowPathRule(r *flowcontrolv1.NonResourcePolicyRule, path *place) field.ErrorList {
	at := path.Child("nonResourceURLs")
	errs := join(flowVerbList(r.Verbs, path.Child("verbs")), flowList(r.NonResourceURLs, at,
		"nonResourceURLs must contain at least one value", "if '*' is present, must not specify other non-resource URLs"))
	if slices.Contains(r.NonResourceURLs, "*") {
		return errs
	}
	return append(errs, each(r.NonResourceURLs, at, flowPath)...)
}

func flowPath(p *string, path *place) field.ErrorList {
	stars := strings.Count(*p, "*")
	problem := ""
	switch {
	case *p == "":
		problem = "must not be empty"
	case *p == "/":
	case !strings.HasPrefix(*p, "/"):
		problem = "must start with slash"
	case strings.Contains(*p, " "):
		problem = "must not contain white-space"
	case strings.Contains(*p, "//"):
		problem = "must not contain double slash"
	case stars > 1, stars == 1 && !strings.HasSuffix(*p, "/*"):
		problem = "wildcard can only do suffix matching"
	}
	return when(problem != "", invalidAt(path, *p, problem))
}

func validateFlowSchemaStatus(f *flowcontrolv1.FlowSchema) field.ErrorList {
	types, seen := newPlace("status", "conditions"), taken{}
	return each(f.Status.Conditions, types, func(c *flowcontrolv1.FlowSchemaCondition, path *place) field.ErrorList {
		return conditionType(string(c.Type), path.Child("type"), seen)
	})
}

// conditionType wants the types of a list of conditions present and different.
func conditionType(t string, path *place, seen taken) field.ErrorList {
	return join(
		when(!seen.claim(t), duplicateAt(path, t)),
		when(t == "", requiredAt(path, "")),
	)
}
