package auth

import (
	"context"
	"errors"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Caller calls a service with a review and reads what it makes of it.
type Caller func(ctx context.Context, in, out any) error

// TokenWebhook asks a service, by TokenReviews, about the tokens that nobody here knows. What it says of a token is believed for a
// while, whether that is good or bad; that it could not be asked is not.
type TokenWebhook struct {
	Call Caller
	// Version is that of the reviews, v1 or v1beta1.
	Version   string
	Audiences []string // of the API server
	known     *cache[*Identity]
	ttl       time.Duration
}

// NewTokenWebhook returns one whose answers count for ttl.
func NewTokenWebhook(call Caller, version string, audiences []string, ttl time.Duration, now func() time.Time) *TokenWebhook {
	return &TokenWebhook{call, version, audiences, newCache[*Identity](tokenCacheLimit, now), ttl}
}

// Recognise implements Recogniser.
func (w *TokenWebhook) Recognise(ctx context.Context, token string, audiences []string) (*Identity, error) {
	key := fingerprintOf(append([]string{token}, audiences...)...)
	if id, ok := w.known.get(key); ok {
		return id, nil
	}
	id, err := w.ask(ctx, token, audiences)
	if err == nil {
		w.known.put(key, id, w.ttl)
	}
	return id, err
}

func (w *TokenWebhook) ask(ctx context.Context, token string, audiences []string) (*Identity, error) {
	review := authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.GroupName + "/" + w.Version, Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}
	var answer authenticationv1.TokenReview
	if err := w.Call(ctx, &review, &answer); err != nil {
		return nil, err
	}
	s := answer.Status
	ours := w.Audiences
	if len(s.Audiences) > 0 {
		ours = s.Audiences
	}
	good := common(audiences, ours)
	switch {
	case len(good) == 0:
		return nil, nil
	case !s.Authenticated && s.Error != "":
		return nil, errors.New(s.Error)
	case !s.Authenticated:
		return nil, nil
	}
	u := User{Name: s.User.Username, UID: s.User.UID, Groups: s.User.Groups}
	for k, v := range s.User.Extra {
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		u.Extra[k] = v
	}
	return &Identity{u, good}, nil
}
