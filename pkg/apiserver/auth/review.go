package auth

import (
	"context"
	"strings"

	"bonsai/pkg/resource"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Review is a kind that is answered instead of stored: `kubectl auth whoami` and `kubectl auth can-i` create one. Row
// is for decoding and discovery, and its only verb is create. Answer fills in the status of obj, which is of the
// row's type and has the namespace of the URL.
type Review struct {
	Row    *resource.Row
	Answer func(ctx context.Context, u User, obj resource.Object) error
}

// Reviews returns all kinds of review. tokens recognises all that the server lets in by token, authz is the whole of the server's
// authorizers, and rules what of them can be listed.
func Reviews(tokens *Bearer, authz Authorizer, rules RuleLister) []Review {
	a, who := accessReviewer{authz}, identityReviewer{tokens}
	authn, access := authenticationv1.SchemeGroupVersion, authorizationv1.SchemeGroupVersion
	return []Review{
		review[authenticationv1.SelfSubjectReview](authn, "SelfSubjectReview", false, who.self),
		review[authenticationv1.TokenReview](authn, "TokenReview", false, who.token),
		review[authorizationv1.LocalSubjectAccessReview](access, "LocalSubjectAccessReview", true, a.local),
		review[authorizationv1.SelfSubjectAccessReview](access, "SelfSubjectAccessReview", false, a.self),
		review[authorizationv1.SelfSubjectRulesReview](access, "SelfSubjectRulesReview", false, ruleReviewer{rules}.self),
		review[authorizationv1.SubjectAccessReview](access, "SubjectAccessReview", false, a.subject),
	}
}

// review makes one for the Go type T, whose pointer is the object.
func review[T any, P interface {
	*T
	resource.Object
}](gv schema.GroupVersion, kind string, namespaced bool, answer func(context.Context, User, P) error) Review {
	singular := strings.ToLower(kind)
	return Review{
		Row: &resource.Row{
			Resource: singular + "s", Singular: singular, Kind: kind, Namespaced: namespaced, Verbs: []string{"create"},
			Versions: []resource.Version{{GroupVersion: gv, New: func() resource.Object { return P(new(T)) }}},
		},
		Answer: func(ctx context.Context, u User, obj resource.Object) error { return answer(ctx, u, obj.(P)) },
	}
}
