package auth

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reviewSelf says who is asking.
func (t *Tokens) reviewSelf(_ context.Context, u User, o *authenticationv1.SelfSubjectReview) error {
	o.CreationTimestamp = metav1.NewTime(t.now())
	o.Status.UserInfo = userInfo(u)
	return nil
}

// reviewToken says whose a token is. That it is a bad one is an answer, not an error.
func (t *Tokens) reviewToken(ctx context.Context, _ User, o *authenticationv1.TokenReview) error {
	if o.Spec.Token == "" {
		return apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	u, audiences, err := t.Recognise(ctx, o.Spec.Token, o.Spec.Audiences)
	if err != nil {
		o.Status = authenticationv1.TokenReviewStatus{Error: err.Error()}
		return nil
	}
	u.Groups = append(u.Groups, Authenticated)
	o.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: userInfo(u), Audiences: audiences}
	return nil
}

func userInfo(u User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	for k, v := range u.Extra {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[k] = v
	}
	return info
}
