package auth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// AccessWebhook is an Authorizer that asks a service, by SubjectAccessReviews. What it allows, it allows for a while, and what it does not,
// for a shorter one: rights that were just given are waited for by people.
type AccessWebhook struct {
	Call Caller
	// Version is that of the reviews, v1 or v1beta1.
	Version string
	// Allowed and Refused are for how long an answer counts.
	Allowed, Refused time.Duration
	// Matches says which requests it is asked about; nil for all.
	Matches func(ctx context.Context, r *authorizationv1.SubjectAccessReview) (bool, error)
	// OnError is the decision if nobody can tell what the service would say.
	OnError Decision
	// Asked is told of each call how long it took and how it went; nil if nobody counts.
	Asked func(ctx context.Context, took time.Duration, err error)
	now   func() time.Time
	known *cache[authorizationv1.SubjectAccessReviewStatus]
}

const (
	accessCacheLimit = 8192
	// maxRemembered is how long a question may be for its answer to be remembered.
	maxRemembered = 10000
)

// NewAccessWebhook returns one that asks by call.
func NewAccessWebhook(call Caller, version string, allowed, refused time.Duration, now func() time.Time) *AccessWebhook {
	return &AccessWebhook{Call: call, Version: version, Allowed: allowed, Refused: refused, now: now,
		known: newCache[authorizationv1.SubjectAccessReviewStatus](accessCacheLimit, now)}
}

// Authorize implements Authorizer. That the service cannot be asked is an error, and an opinion only if OnError is one.
func (w *AccessWebhook) Authorize(ctx context.Context, r Request) (Decision, string, error) {
	spec := specOf(r)
	if w.Matches != nil {
		matches, err := w.Matches(ctx, &authorizationv1.SubjectAccessReview{Spec: spec})
		switch {
		case err != nil:
			return w.OnError, "", err
		case !matches:
			return NoOpinion, "", nil
		}
	}
	s, err := w.review(ctx, spec)
	switch {
	case err != nil:
		return w.OnError, "", err
	case s.Denied && s.Allowed:
		return Deny, s.Reason, errors.New("webhook subject access review returned both allow and deny response")
	case s.Denied:
		return Deny, s.Reason, nil
	case s.Allowed:
		return Allow, s.Reason, nil
	}
	return NoOpinion, s.Reason, nil
}

// RulesFor says that there may be rules that only the service knows.
func (*AccessWebhook) RulesFor(User, string) ([]rbacv1.PolicyRule, bool, error) {
	return nil, true, errors.New("webhook authorizer does not support user rule resolution")
}

func (w *AccessWebhook) review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (s authorizationv1.SubjectAccessReviewStatus, err error) {
	question, err := json.Marshal(spec)
	if err != nil {
		return s, err
	}
	key := fingerprintOf(string(question))
	if s, ok := w.known.get(key); ok {
		return s, nil
	}
	review := authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.GroupName + "/" + w.Version, Kind: "SubjectAccessReview"}, Spec: spec}
	var answer authorizationv1.SubjectAccessReview
	began := w.now()
	if w.Version == "v1beta1" {
		err = w.Call(ctx, beta(review), &answer)
	} else {
		err = w.Call(ctx, &review, &answer)
	}
	if w.Asked != nil {
		w.Asked(ctx, w.now().Sub(began), err)
	}
	if err != nil {
		return s, err
	}
	ttl := w.Refused
	if answer.Status.Allowed {
		ttl = w.Allowed
	}
	if len(question) < maxRemembered {
		w.known.put(key, answer.Status, ttl)
	}
	return answer.Status, nil
}

// betaReview is a review of v1beta1, whose groups have another name.
type betaReview struct {
	authorizationv1.SubjectAccessReview `json:",inline"`
	Spec                                struct {
		authorizationv1.SubjectAccessReviewSpec `json:",inline"`
		Groups                                  []string `json:"groups,omitempty"`
		Group                                   []string `json:"group,omitempty"`
	} `json:"spec"`
}

func beta(r authorizationv1.SubjectAccessReview) *betaReview {
	b := &betaReview{SubjectAccessReview: r}
	b.Spec.SubjectAccessReviewSpec, b.Spec.Group = r.Spec, r.Spec.Groups
	return b
}

// specOf is a request as a review asks about it.
func specOf(r Request) authorizationv1.SubjectAccessReviewSpec {
	spec := authorizationv1.SubjectAccessReviewSpec{User: r.User.Name, UID: r.User.UID, Groups: r.User.Groups}
	for k, v := range r.User.Extra {
		if spec.Extra == nil {
			spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		spec.Extra[k] = v
	}
	if !r.IsResource {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: r.Path, Verb: r.Verb}
		return spec
	}
	spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Namespace: r.Namespace, Verb: r.Verb, Group: r.Group, Version: r.Version,
		Resource: r.Resource, Subresource: r.Subresource, Name: r.Name}
	if list := fieldTerms(r.FieldSelector); len(list) > 0 {
		spec.ResourceAttributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: list}
	}
	if list := labelTerms(r.LabelSelector); len(list) > 0 {
		spec.ResourceAttributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{Requirements: list}
	}
	return spec
}

// fieldTerms are the requirements of a selector; of one that cannot be read none, which asks about more objects.
func fieldTerms(text string) []metav1.FieldSelectorRequirement {
	selector, err := fields.ParseSelector(text)
	if text == "" || err != nil {
		return nil
	}
	var out []metav1.FieldSelectorRequirement
	for _, q := range selector.Requirements() {
		op := metav1.FieldSelectorOpIn
		if q.Operator == selection.NotEquals {
			op = metav1.FieldSelectorOpNotIn
		}
		out = append(out, metav1.FieldSelectorRequirement{Key: q.Field, Operator: op, Values: []string{q.Value}})
	}
	return out
}

var labelOperators = map[selection.Operator]metav1.LabelSelectorOperator{
	selection.Equals: metav1.LabelSelectorOpIn, selection.DoubleEquals: metav1.LabelSelectorOpIn, selection.In: metav1.LabelSelectorOpIn,
	selection.NotEquals: metav1.LabelSelectorOpNotIn, selection.NotIn: metav1.LabelSelectorOpNotIn,
	selection.Exists: metav1.LabelSelectorOpExists, selection.DoesNotExist: metav1.LabelSelectorOpDoesNotExist,
}

func labelTerms(text string) []metav1.LabelSelectorRequirement {
	list, err := labels.ParseToRequirements(text)
	if text == "" || err != nil {
		return nil
	}
	var out []metav1.LabelSelectorRequirement
	for _, q := range list {
		if op, ok := labelOperators[q.Operator()]; ok {
			out = append(out, metav1.LabelSelectorRequirement{Key: q.Key(), Operator: op, Values: q.Values().List()})
		}
	}
	return out
}
