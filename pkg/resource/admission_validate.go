package resource

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// anyOf is the wildcard of groups, versions, resources and operations. It must stand alone.
const anyOf = "*"

func validateAdmissionRule(r *admissionv1.RuleWithOperations, at *place) field.ErrorList {
	operations := at.Child("operations")
	errs := join(
		when(len(r.Operations) == 0, requiredAt(operations, "")),
		when(len(r.Operations) > 1 && slices.Contains(r.Operations, admissionv1.OperationAll),
			invalidAt(operations, r.Operations, "if '*' is present, must not specify other operations")),
		each(r.Operations, operations, func(o *admissionv1.OperationType, at *place) field.ErrorList {
			return oneOf(*o, at, admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Delete, admissionv1.Update)
		}),
	)
	groups, versions := at.Child("apiGroups"), at.Child("apiVersions")
	return join(errs,
		when(len(r.APIGroups) == 0, requiredAt(groups, "")),
		when(len(r.APIGroups) > 1 && slices.Contains(r.APIGroups, anyOf),
			invalidAt(groups, r.APIGroups, "if '*' is present, must not specify other API groups")),
		when(len(r.APIVersions) == 0, requiredAt(versions, "")),
		when(len(r.APIVersions) > 1 && slices.Contains(r.APIVersions, anyOf),
			invalidAt(versions, r.APIVersions, "if '*' is present, must not specify other API versions")),
		each(r.APIVersions, versions, func(v *string, at *place) field.ErrorList { return present(*v, at) }),
		validateRuleResources(r.Resources, at.Child("resources")),
		given(r.Scope, at.Child("scope"), func(s *admissionv1.ScopeType, at *place) field.ErrorList {
			return oneOf(*s, at, admissionv1.AllScopes, admissionv1.ClusterScope, admissionv1.NamespacedScope)
		}),
	)
}

// validateRuleResources refuses lists in which one entry covers another.
func validateRuleResources(resources []string, at *place) field.ErrorList {
	errs := when(len(resources) == 0, requiredAt(at, ""))
	allSubs, allResources := map[string]bool{}, map[string]bool{} // x for x/*, y for */y
	single, plain := false, false
	for i, text := range resources {
		if text == "" {
			errs = append(errs, requiredAt(at.Index(i), ""))
			continue
		}
		name, sub, hasSub := strings.Cut(text, "/")
		if !hasSub {
			single = single || text == anyOf
			plain = text != anyOf // the last one decides, as upstream
			continue
		}
		if allSubs[name] {
			errs = append(errs, invalidAt(at.Index(i), text, "if '"+name+"/*' is present, must not specify "+text))
		}
		if allResources[sub] {
			errs = append(errs, invalidAt(at.Index(i), text, "if '*/"+sub+"' is present, must not specify "+text))
		}
		allSubs[name] = allSubs[name] || sub == anyOf
		allResources[sub] = allResources[sub] || name == anyOf
	}
	return join(errs,
		when(len(resources) > 1 && slices.Contains(resources, "*/*"),
			invalidAt(at, resources, "if '*/*' is present, must not specify other resources")),
		when(single && plain, invalidAt(at, resources, "if '*' is present, must not specify other resources without subresources")),
	)
}

func validateMatchResources(m *admissionv1.MatchResources, at *place) field.ErrorList {
	errs := when(m.MatchPolicy == nil, requiredAt(at.Child("matchPolicy"), ""))
	return join(errs,
		given(m.MatchPolicy, at.Child("matchPolicy"), matchPolicy),
		requiredSelector(m.NamespaceSelector, at.Child("namespaceSelector")),
		requiredSelector(m.ObjectSelector, at.Child("objectSelector")),
		each(m.ResourceRules, at.Child("resourceRules"), validateNamedRule),
		each(m.ExcludeResourceRules, at.Child("excludeResourceRules"), validateNamedRule),
	)
}

func requiredSelector(s *metav1.LabelSelector, at *place) field.ErrorList {
	if s == nil {
		return field.ErrorList{requiredAt(at, "")}
	}
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, at.path())
}

func validateNamedRule(r *admissionv1.NamedRuleWithOperations, at *place) field.ErrorList {
	names := taken{}
	errs := each(r.ResourceNames, at.Child("resourceNames"), func(name *string, at *place) field.ErrorList {
		return append(invalid(at, *name, path.ValidatePathSegmentName(*name, false)),
			when(!names.claim(*name), duplicateAt(at, *name))...)
	})
	return append(errs, validateAdmissionRule(&r.RuleWithOperations, at)...)
}

// validatePolicyMatch is for policies, which must say what they are about: their expressions are checked by it.
func validatePolicyMatch(m *admissionv1.MatchResources, at *place) field.ErrorList {
	if m == nil {
		return field.ErrorList{requiredAt(at, "")}
	}
	return append(validateMatchResources(m, at), when(len(m.ResourceRules) == 0, requiredAt(at.Child("resourceRules"), ""))...)
}

func validateParamKind(k *admissionv1.ParamKind, at *place) field.ErrorList {
	errs := validateParamVersion(k.APIVersion, at.Child("apiVersion"))
	if k.Kind == "" {
		return append(errs, requiredAt(at.Child("kind"), ""))
	}
	if wrong := validation.IsDNS1035Label(strings.ToLower(k.Kind)); len(wrong) > 0 {
		errs = append(errs, invalidAt(at.Child("kind"), k.Kind,
			"may have mixed case, but should otherwise match: "+strings.Join(wrong, ",")))
	}
	return errs
}

func validateParamVersion(text string, at *place) field.ErrorList {
	if text == "" {
		return field.ErrorList{requiredAt(at, "")}
	}
	gv, err := schema.ParseGroupVersion(text)
	if err != nil {
		return field.ErrorList{invalidAt(at, text, err.Error())}
	}
	var errs field.ErrorList
	if wrong := validation.IsDNS1123Subdomain(gv.Group); gv.Group != "" && len(wrong) > 0 {
		errs = append(errs, invalidAt(at, gv.Group, strings.Join(wrong, ",")))
	}
	if gv.Version == "" {
		return append(errs, invalidAt(at, text, "version must be specified"))
	}
	if wrong := validation.IsDNS1035Label(gv.Version); len(wrong) > 0 {
		errs = append(errs, invalidAt(at, gv.Version, strings.Join(wrong, ",")))
	}
	return errs
}

func validatePolicyName(name string, at *place) field.ErrorList {
	if name == "" {
		return field.ErrorList{requiredAt(at, "")}
	}
	return dnsSubdomain(name, at)
}

func validateParamRef(r *admissionv1.ParamRef, at *place) field.ErrorList {
	const exclusive = "name and selector are mutually exclusive"
	var errs field.ErrorList
	if r.Name != "" {
		errs = append(invalid(at.Child("name"), r.Name, path.ValidatePathSegmentName(r.Name, false)),
			when(r.Selector != nil, forbiddenAt(at.Child("name"), exclusive))...)
	}
	if r.Selector != nil {
		errs = append(errs, requiredSelector(r.Selector, at.Child("selector"))...)
		errs = append(errs, when(r.Name != "", forbiddenAt(at.Child("selector"), exclusive))...)
	}
	errs = append(errs, when(r.Name == "" && r.Selector == nil, requiredAt(at, "one of name or selector must be specified"))...)
	action := at.Child("parameterNotFoundAction")
	if r.ParameterNotFoundAction == nil {
		return append(errs, requiredAt(action, ""))
	}
	return append(errs, presentOneOf(*r.ParameterNotFoundAction, action, admissionv1.DenyAction, admissionv1.AllowAction)...)
}
