package auth

import (
	"context"
	"errors"
	"testing"

	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// answer sends obj to the review of its kind, which is found by the type that the row makes.
func answer(t *testing.T, d *desk, u User, kind string, obj resource.Object) error {
	t.Helper()
	for _, r := range Reviews(d.bearer(), Default(d.objects, Named{"everybody", everybody{}}), everybody{}) {
		if r.Row.Kind == kind {
			require.IsType(t, r.Row.StorageVersion().New(), obj)
			return r.Answer(context.Background(), u, obj)
		}
	}
	t.Fatalf("no review %s", kind)
	return nil
}

// everybody may get paths, and no more.
type everybody struct{}

func (everybody) Authorize(_ context.Context, r Request) (Decision, string, error) {
	if r.IsResource {
		return NoOpinion, "", nil
	}
	return Allow, "it is a path", nil
}

func (everybody) RulesFor(User, string) ([]rbacv1.PolicyRule, bool, error) {
	return []rbacv1.PolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}, {Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}, false,
		errors.New("a role was not found")
}

var jane = User{Name: "jane", UID: "1", Groups: []string{Authenticated}, Extra: map[string][]string{"k": {"v"}}}

func TestWhoAmI(t *testing.T) {
	o := &authenticationv1.SelfSubjectReview{}
	require.NoError(t, answer(t, newDesk(t), jane, "SelfSubjectReview", o))
	require.Equal(t, authenticationv1.UserInfo{Username: "jane", UID: "1", Groups: []string{Authenticated},
		Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}}, o.Status.UserInfo)
}

func TestTokenReview(t *testing.T) {
	d := newDesk(t)
	o := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: d.issue(t, "", ""), Audiences: []string{"other", Issuer}}}
	require.NoError(t, answer(t, d, jane, "TokenReview", o))
	require.True(t, o.Status.Authenticated)
	require.Equal(t, []string{Issuer}, o.Status.Audiences)
	require.Equal(t, "system:serviceaccount:shop:web-sa", o.Status.User.Username)
	require.Contains(t, o.Status.User.Groups, Authenticated)

	o = &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "nonsense"}}
	require.NoError(t, answer(t, d, jane, "TokenReview", o))
	require.Equal(t, authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}, o.Status)
	require.EqualError(t, answer(t, d, jane, "TokenReview", &authenticationv1.TokenReview{}), "token is required for TokenReview in authentication")
}

func TestAccessReviews(t *testing.T) {
	getPods := &authorizationv1.ResourceAttributes{Verb: "watch", Resource: "pods", FieldSelector: &authorizationv1.FieldSelectorAttributes{
		Requirements: []metav1.FieldSelectorRequirement{{Key: "spec.nodeName", Operator: metav1.FieldSelectorOpIn, Values: []string{"oak"}}}}}
	allPods := &authorizationv1.ResourceAttributes{Verb: "watch", Resource: "pods"}
	badSelectors := &authorizationv1.ResourceAttributes{
		FieldSelector: &authorizationv1.FieldSelectorAttributes{RawSelector: "a=b", Requirements: []metav1.FieldSelectorRequirement{{Operator: metav1.FieldSelectorOpIn}}},
		LabelSelector: &authorizationv1.LabelSelectorAttributes{}}
	node := []string{NodesGroup}
	for name, tc := range map[string]struct {
		kind string
		spec authorizationv1.SubjectAccessReviewSpec
		name string
		want authorizationv1.SubjectAccessReviewStatus
		err  string
	}{
		"by selector": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "system:node:oak", Groups: node, ResourceAttributes: getPods},
			want: authorizationv1.SubjectAccessReviewStatus{Allowed: true}},
		"without": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "system:node:oak", Groups: node, ResourceAttributes: allPods},
			want: authorizationv1.SubjectAccessReviewStatus{Reason: "node: can only list/watch pods with spec.nodeName field selector"}},
		"a path": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x", Groups: []string{Authenticated}, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/api", Verb: "get"}},
			want: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "it is a path"}},
		"with a name": {kind: "LocalSubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "shop"}}, name: "n",
			err: `.authorization.k8s.io "" is invalid: metadata: Invalid value: {"name":"n","namespace":"shop"}: must be empty except for namespace`},
		"both": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x", ResourceAttributes: allPods, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/"}},
			err: `.authorization.k8s.io "" is invalid: spec: Invalid value: {"Path":"/","Verb":""}: exactly one of nonResourceAttributes or resourceAttributes must be specified`},
		"bad selectors": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x", ResourceAttributes: badSelectors},
			err: `.authorization.k8s.io "" is invalid: [` +
				`spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements, ` +
				"spec.resourceAttributes.fieldSelector.requirements[0].key: Required value: must be specified, " +
				"spec.resourceAttributes.fieldSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn', " +
				`spec.resourceAttributes.labelSelector.requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required]`},
		"nobody": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: allPods},
			err: `.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified`},
		"nothing": {kind: "SubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x"},
			err: `.authorization.k8s.io "" is invalid: spec: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified`},
		"local, elsewhere": {kind: "LocalSubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "other", Verb: "get", Resource: "pods"}},
			err: `.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace`},
		"local": {kind: "LocalSubjectAccessReview", spec: authorizationv1.SubjectAccessReviewSpec{User: "x", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "shop", Verb: "get", Resource: "pods"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			var got authorizationv1.SubjectAccessReviewStatus
			if tc.kind == "LocalSubjectAccessReview" {
				o := &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: tc.name}, Spec: tc.spec}
				err = answer(t, newDesk(t), jane, tc.kind, o)
				got = o.Status
			} else {
				o := &authorizationv1.SubjectAccessReview{Spec: tc.spec}
				err = answer(t, newDesk(t), jane, tc.kind, o)
				got = o.Status
			}
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestRulesReview(t *testing.T) {
	o := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "shop"}}
	require.NoError(t, answer(t, newDesk(t), jane, "SelfSubjectRulesReview", o))
	require.Equal(t, authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
		NonResourceRules: []authorizationv1.NonResourceRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}},
		EvaluationError:  "a role was not found",
	}, o.Status)
	require.EqualError(t, answer(t, newDesk(t), jane, "SelfSubjectRulesReview", &authorizationv1.SelfSubjectRulesReview{}), "no namespace on request")
}
