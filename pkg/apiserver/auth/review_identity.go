package auth

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// identityReviewer says who somebody is.
type identityReviewer struct{ tokens *Bearer }

// self says who is asking.
func (identityReviewer) self(_ context.Context, u User, o *authenticationv1.SelfSubjectReview) error {
	o.ObjectMeta = metav1.ObjectMeta{CreationTimestamp: metav1.Now()} // upstream answers with a new object
	o.Status.UserInfo = u.Info()
	return nil
}

// token says whose a token is. That it is a bad one is an answer, not an error.
func (i identityReviewer) token(ctx context.Context, _ User, o *authenticationv1.TokenReview) error {
	if o.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	id, err := i.tokens.Recognise(ctx, o.Spec.Token, o.Spec.Audiences)
	if err != nil {
		o.Status = authenticationv1.TokenReviewStatus{Error: err.Error()}
		return nil
	}
	u := id.User
	remark(ctx, u.Remarks)
	u.Groups = withAuthenticated(u)
	o.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: u.Info(), Audiences: id.Audiences}
	return nil
}

// Info is u as the API shows users.
func (u User) Info() authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	for k, v := range u.Extra {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[k] = v
	}
	return info
}
