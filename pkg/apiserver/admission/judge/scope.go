package judge

import (
	"context"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// exempt are the kinds that nobody judges but the server itself: a configuration that refuses its own repair could never be repaired.
var exempt = []string{
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
}

// Exempt tells whether the request is about such a kind.
func Exempt(a *admission.Attributes) bool {
	return a.Row.Group() == admissionv1.GroupName && slices.Contains(exempt, a.Row.Kind)
}

// Scope is what a webhook, a policy or a binding is about.
type Scope struct {
	rules, except []admissionv1.NamedRuleWithOperations
	// all says that without rules everything is meant: a binding that says nothing leaves it to its policy.
	all                 bool
	equivalent          bool
	namespaces, objects labels.Selector
	// wrong is why a selector cannot be read. It refuses the requests that the rules name.
	wrong error
}

// HookScope is the scope of a webhook.
func HookScope(rules []admissionv1.RuleWithOperations, match *admissionv1.MatchPolicyType, namespaces, objects *metav1.LabelSelector) Scope {
	s := Scope{equivalent: match != nil && *match == admissionv1.Equivalent}
	for _, r := range rules {
		s.rules = append(s.rules, admissionv1.NamedRuleWithOperations{RuleWithOperations: r})
	}
	s.selectors(namespaces, objects)
	return s
}

// PolicyScope is the scope of a policy or a binding; nil is everything.
func PolicyScope(m *admissionv1.MatchResources) Scope {
	if m == nil {
		m = &admissionv1.MatchResources{}
	}
	s := Scope{rules: m.ResourceRules, except: m.ExcludeResourceRules, all: len(m.ResourceRules) == 0,
		equivalent: m.MatchPolicy != nil && *m.MatchPolicy == admissionv1.Equivalent}
	s.selectors(orAll(m.NamespaceSelector), orAll(m.ObjectSelector))
	return s
}

// orAll is a selector that selects everything where none is given; that of an empty one would select nothing.
func orAll(s *metav1.LabelSelector) *metav1.LabelSelector {
	if s == nil {
		return &metav1.LabelSelector{}
	}
	return s
}

func (s *Scope) selectors(namespaces, objects *metav1.LabelSelector) {
	if s.namespaces, s.wrong = metav1.LabelSelectorAsSelector(namespaces); s.wrong != nil {
		return
	}
	s.objects, s.wrong = metav1.LabelSelectorAsSelector(objects)
}

// Find tells whether the request is within the scope, and in which form.
func (s *Scope) Find(ctx context.Context, a *admission.Attributes, get admission.Getter) (admission.Form, bool, error) {
	v := s.version(a)
	if v == nil {
		return admission.Form{}, false, nil
	}
	form := a.FormOf(v)
	if s.wrong != nil {
		return form, false, apierrors.NewInternalError(s.wrong)
	}
	// What the objects' labels exclude needs no namespace to be found.
	if !s.objects.Empty() && !selects(s.objects, a.Object) && !selects(s.objects, a.Old) {
		return form, false, nil
	}
	ok, err := s.inNamespace(ctx, a, get)
	return form, ok, err
}

// version applies the rules; nil if none names the request.
func (s *Scope) version(a *admission.Attributes) *resource.Version {
	switch {
	case len(s.except) > 0 && s.match(s.except, a) != nil:
		return nil
	case s.all:
		return a.Asked()
	}
	return s.match(s.rules, a)
}

// match tries the rules with the version that the client speaks and then, rule by rule, with the others.
func (s *Scope) match(rules []admissionv1.NamedRuleWithOperations, a *admission.Attributes) *resource.Version {
	asked := a.Asked()
	for i := range rules {
		if names(&rules[i], a, asked) {
			return asked
		}
	}
	if !s.equivalent || len(a.Row.Versions) == 1 && a.Row.Custom == nil {
		return nil
	}
	versions := a.Row.EveryVersion()
	for i := range rules {
		for v := range versions {
			if other := &versions[v]; other.GroupVersion != asked.GroupVersion && names(&rules[i], a, other) {
				return other
			}
		}
	}
	return nil
}

// names tells whether the rule names the request as one of that version.
func names(r *admissionv1.NamedRuleWithOperations, a *admission.Attributes, v *resource.Version) bool {
	return namesResource(r.Resources, a.Row.Resource, a.Subresource) &&
		anyOf(r.APIGroups, v.Group) && anyOf(r.APIVersions, v.Version) &&
		namesOperation(r.Operations, a.Operation) &&
		inScope(r.Scope, a) &&
		(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name))
}

func namesOperation(operations []admissionv1.OperationType, o admission.Operation) bool {
	for _, each := range operations {
		if each == admissionv1.OperationAll || string(each) == string(o) {
			return true
		}
	}
	return false
}

func anyOf(names []string, name string) bool {
	for _, each := range names {
		if each == "*" || each == name {
			return true
		}
	}
	return false
}

// namesResource reads "pods", "pods/status", "pods/*", "*/scale" and "*", which is all without subresources.
func namesResource(resources []string, resource, sub string) bool {
	for _, text := range resources {
		r, s, _ := strings.Cut(text, "/")
		if (r == "*" || r == resource) && (s == "*" || s == sub) {
			return true
		}
	}
	return false
}

// inScope counts a namespace among the objects without namespaces, whatever its request says.
func inScope(scope *admissionv1.ScopeType, a *admission.Attributes) bool {
	if scope == nil || *scope == admissionv1.AllScopes {
		return true
	}
	return (*scope == admissionv1.NamespacedScope) == (a.Namespace != "" && !isNamespace(a))
}

func isNamespace(a *admission.Attributes) bool {
	return a.Row.Resource == "namespaces" && a.Row.Group() == ""
}

// inNamespace applies the selector of namespaces. Objects without namespaces are always meant, but for namespaces themselves.
func (s *Scope) inNamespace(ctx context.Context, a *admission.Attributes, get admission.Getter) (bool, error) {
	if s.namespaces.Empty() || a.Namespace == "" && !isNamespace(a) {
		return true, nil
	}
	if isNamespace(a) && a.Subresource == "" && a.Object != nil {
		return selects(s.namespaces, a.Object), nil // as it is going to be
	}
	ns, err := get.Get(ctx, schema.GroupResource{Resource: "namespaces"}, "", a.Namespace)
	if apierrors.IsNotFound(err) {
		return false, err
	}
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return s.namespaces.Matches(labels.Set(ns.GetLabels())), nil
}

func selects(s labels.Selector, obj runtime.Object) bool {
	if obj == nil {
		return false
	}
	o, err := meta.Accessor(obj)
	return err == nil && s.Matches(labels.Set(o.GetLabels()))
}
