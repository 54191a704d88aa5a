package auth

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// accessReviewer asks the authorizers about requests that nobody has made.
type accessReviewer struct{ authz Authorizer }

// attributes are what the three kinds of access review ask about; one of the two is nil.
type attributes struct {
	resource    *authorizationv1.ResourceAttributes
	nonResource *authorizationv1.NonResourceAttributes
}

func (a accessReviewer) self(ctx context.Context, u User, o *authorizationv1.SelfSubjectAccessReview) error {
	what := attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}
	if err := invalid(append(what.validate(), unnamed(o.ObjectMeta)...)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, what, u)
	return nil
}

func (a accessReviewer) subject(ctx context.Context, _ User, o *authorizationv1.SubjectAccessReview) error {
	if err := invalid(append(validateSpec(o.Spec), unnamed(o.ObjectMeta)...)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}, subjectOf(o.Spec))
	return nil
}

func (a accessReviewer) local(ctx context.Context, _ User, o *authorizationv1.LocalSubjectAccessReview) error {
	if err := invalid(validateLocal(o)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}, subjectOf(o.Spec))
	return nil
}

// ask makes the status of a review out of the authorizers' answer.
func (a accessReviewer) ask(ctx context.Context, what attributes, u User) authorizationv1.SubjectAccessReviewStatus {
	r, ignored := what.request(u)
	d, reason, err := a.authz.Authorize(ctx, r)
	if err != nil {
		ignored = append([]string{err.Error()}, ignored...)
	}
	return authorizationv1.SubjectAccessReviewStatus{Allowed: d == Allow, Denied: d == Deny, Reason: reason,
		EvaluationError: strings.Join(ignored, "; ")}
}

// request is the one that a review is about. What of its selectors cannot be understood is left out, which leaves the question asked about
// more objects, and so never allowed by mistake; ignored says so.
func (a attributes) request(u User) (out Request, ignored []string) {
	if n := a.nonResource; n != nil {
		return Request{User: u, Verb: n.Verb, Path: n.Path}, nil
	}
	r := a.resource
	out = Request{
		User: u, Verb: r.Verb, Group: r.Group, Version: r.Version, Resource: r.Resource,
		Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name, IsResource: true,
	}
	if out.Version == "" {
		out.Version = "*"
	}
	tell := func(which, kept string, bad bool) string {
		switch {
		case bad && kept != "":
			ignored = append(ignored, "spec.resourceAttributes."+which+" partially ignored due to parse error")
		case bad:
			ignored = append(ignored, "spec.resourceAttributes."+which+" ignored due to parse error")
		}
		return kept
	}
	if f := r.FieldSelector; f != nil {
		kept, bad := fieldSelector(f)
		out.FieldSelector = tell("fieldSelector", kept, bad)
	}
	if l := r.LabelSelector; l != nil {
		kept, bad := labelSelector(l)
		out.LabelSelector = tell("labelSelector", kept, bad)
	}
	return out, ignored
}

// fieldSelector writes what can be understood of f as a selector; bad says that there is more to it.
func fieldSelector(f *authorizationv1.FieldSelectorAttributes) (text string, bad bool) {
	if f.RawSelector != "" {
		if _, err := fields.ParseSelector(f.RawSelector); err != nil {
			return "", true
		}
		return f.RawSelector, false
	}
	var parts []string
	for _, q := range f.Requirements {
		switch {
		case len(q.Values) != 1:
			bad = true
		case q.Operator == metav1.FieldSelectorOpIn:
			parts = append(parts, q.Key+"="+fields.EscapeValue(q.Values[0]))
		case q.Operator == metav1.FieldSelectorOpNotIn:
			parts = append(parts, q.Key+"!="+fields.EscapeValue(q.Values[0]))
		default:
			bad = true
		}
	}
	return strings.Join(parts, ","), bad
}

// labelSelector does the same for labels.
func labelSelector(l *authorizationv1.LabelSelectorAttributes) (text string, bad bool) {
	if l.RawSelector != "" {
		if _, err := labels.Parse(l.RawSelector); err != nil {
			return "", true
		}
		return l.RawSelector, false
	}
	selector := labels.NewSelector()
	for _, q := range l.Requirements {
		one, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{q}})
		if err != nil {
			bad = true
			continue
		}
		terms, _ := one.Requirements()
		selector = selector.Add(terms...)
	}
	return selector.String(), bad
}

func subjectOf(s authorizationv1.SubjectAccessReviewSpec) User {
	u := User{Name: s.User, UID: s.UID, Groups: s.Groups, Extra: map[string][]string{}}
	for k, v := range s.Extra {
		u.Extra[k] = v
	}
	return u
}

// ruleReviewer lists what a user may do.
type ruleReviewer struct{ rules RuleLister }

func (l ruleReviewer) self(_ context.Context, u User, o *authorizationv1.SelfSubjectRulesReview) error {
	if o.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	rules, incomplete, err := l.rules.RulesFor(u, o.Spec.Namespace)
	o.ObjectMeta, o.Spec, o.Status = metav1.ObjectMeta{}, authorizationv1.SelfSubjectRulesReviewSpec{}, rulesStatus(rules)
	o.Status.Incomplete = incomplete
	if err != nil {
		o.Status.EvaluationError = err.Error()
	}
	return nil
}

func rulesStatus(rules []rbacv1.PolicyRule) authorizationv1.SubjectRulesReviewStatus {
	s := authorizationv1.SubjectRulesReviewStatus{ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}}
	for _, r := range rules {
		if len(r.Resources) > 0 {
			s.ResourceRules = append(s.ResourceRules, authorizationv1.ResourceRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			s.NonResourceRules = append(s.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return s
}
