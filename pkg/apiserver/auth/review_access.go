package auth

import (
	"context"
	"errors"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	if err := invalid("SelfSubjectAccessReview", append(what.validate(), unnamed(o.ObjectMeta)...)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, what.request(u))
	return nil
}

func (a accessReviewer) subject(ctx context.Context, _ User, o *authorizationv1.SubjectAccessReview) error {
	if err := invalid("SubjectAccessReview", append(validateSpec(o.Spec), unnamed(o.ObjectMeta)...)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}.request(subjectOf(o.Spec)))
	return nil
}

func (a accessReviewer) local(ctx context.Context, _ User, o *authorizationv1.LocalSubjectAccessReview) error {
	if err := invalid("LocalSubjectAccessReview", validateLocal(o)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}.request(subjectOf(o.Spec)))
	return nil
}

// ask makes the status of a review out of the authorizers' answer.
func (a accessReviewer) ask(ctx context.Context, r Request) authorizationv1.SubjectAccessReviewStatus {
	d, reason, err := a.authz.Authorize(ctx, r)
	s := authorizationv1.SubjectAccessReviewStatus{Allowed: d == Allow, Denied: d == Deny, Reason: reason}
	if err != nil {
		s.EvaluationError = err.Error()
	}
	return s
}

// request is the one that a review is about.
func (a attributes) request(u User) Request {
	if n := a.nonResource; n != nil {
		return Request{User: u, Verb: n.Verb, Path: n.Path}
	}
	r := a.resource
	out := Request{
		User: u, Verb: r.Verb, Group: r.Group, Version: r.Version, Resource: r.Resource,
		Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name, IsResource: true,
	}
	if f := r.FieldSelector; f != nil {
		out.FieldSelector = f.RawSelector + fieldRequirements(f.Requirements)
	}
	if l := r.LabelSelector; l != nil {
		out.LabelSelector = l.RawSelector
		if len(l.Requirements) > 0 {
			out.LabelSelector = metav1.FormatLabelSelector(&metav1.LabelSelector{MatchExpressions: l.Requirements})
		}
	}
	return out
}

// fieldRequirements writes requirements as a field selector. One that a selector cannot express is left out, which leaves
// the question asked about more objects, and so never allowed by mistake.
func fieldRequirements(list []metav1.FieldSelectorRequirement) string {
	var parts []string
	for _, q := range list {
		switch {
		case len(q.Values) != 1:
		case q.Operator == metav1.FieldSelectorOpIn:
			parts = append(parts, q.Key+"="+q.Values[0])
		case q.Operator == metav1.FieldSelectorOpNotIn:
			parts = append(parts, q.Key+"!="+q.Values[0])
		}
	}
	return strings.Join(parts, ",")
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
	rules, err := l.rules.RulesFor(u, o.Spec.Namespace)
	o.Status = rulesStatus(rules)
	_, node := NodeName(u)
	if node {
		o.Status.Incomplete = true
		err = errors.Join(errors.New("node authorizer does not support user rule resolution"), err)
	}
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
