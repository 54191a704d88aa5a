package auth

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
	if err := invalid("SelfSubjectAccessReview", what.validate()); err != nil {
		return err
	}
	o.Status = a.ask(ctx, what.request(u))
	return nil
}

func (a accessReviewer) subject(ctx context.Context, _ User, o *authorizationv1.SubjectAccessReview) error {
	what := attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}
	if err := invalid("SubjectAccessReview", append(what.validate(), validateSubject(o.Spec)...)); err != nil {
		return err
	}
	o.Status = a.ask(ctx, what.request(subjectOf(o.Spec)))
	return nil
}

func (a accessReviewer) local(ctx context.Context, _ User, o *authorizationv1.LocalSubjectAccessReview) error {
	what := attributes{o.Spec.ResourceAttributes, o.Spec.NonResourceAttributes}
	errs := append(what.validate(), validateSubject(o.Spec)...)
	spec := field.NewPath("spec")
	if r := what.resource; r != nil && r.Namespace != o.Namespace {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes", "namespace"), r.Namespace, "must match metadata.namespace"))
	}
	if what.nonResource != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), what.nonResource, "disallowed on this kind of request"))
	}
	if err := invalid("LocalSubjectAccessReview", errs); err != nil {
		return err
	}
	o.Status = a.ask(ctx, what.request(subjectOf(o.Spec)))
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

func (a attributes) validate() field.ErrorList {
	spec := field.NewPath("spec")
	if (a.resource == nil) == (a.nonResource == nil) {
		return field.ErrorList{field.Invalid(spec, a.nonResource, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	}
	if a.resource == nil {
		return nil
	}
	var errs field.ErrorList
	check := func(name, raw string, requirements int) {
		p := spec.Child("resourceAttributes", name)
		switch {
		case raw != "" && requirements > 0:
			errs = append(errs, field.Invalid(p.Child("rawSelector"), raw, "may not specified at the same time as requirements"))
		case raw == "" && requirements == 0:
			errs = append(errs, field.Required(p.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", p)))
		}
	}
	if f := a.resource.FieldSelector; f != nil {
		check("fieldSelector", f.RawSelector, len(f.Requirements))
	}
	if l := a.resource.LabelSelector; l != nil {
		check("labelSelector", l.RawSelector, len(l.Requirements))
	}
	return errs
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

func validateSubject(s authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	if s.User == "" && len(s.Groups) == 0 {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "user"), s.User, "at least one of user or group must be specified")}
	}
	return nil
}

func subjectOf(s authorizationv1.SubjectAccessReviewSpec) User {
	u := User{Name: s.User, UID: s.UID, Groups: s.Groups, Extra: map[string][]string{}}
	for k, v := range s.Extra {
		u.Extra[k] = v
	}
	return u
}

func invalid(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind(kind).GroupKind(), "", errs)
}

// ruleReviewer lists what a user may do.
type ruleReviewer struct{ rules RuleLister }

func (l ruleReviewer) self(_ context.Context, u User, o *authorizationv1.SelfSubjectRulesReview) error {
	if o.Spec.Namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	s := authorizationv1.SubjectRulesReviewStatus{ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}}
	for _, r := range l.rules.RulesFor(u) {
		if len(r.NonResourceURLs) > 0 {
			s.NonResourceRules = append(s.NonResourceRules, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
			continue
		}
		s.ResourceRules = append(s.ResourceRules, authorizationv1.ResourceRule{
			Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
		})
	}
	if _, node := NodeName(u); node {
		s.Incomplete, s.EvaluationError = true, "node authorizer does not support user rule resolution"
	}
	o.Status = s
	return nil
}
