package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Legacy tokens are those in secrets of the type kubernetes.io/service-account-token. They never expire and name no audience, so
// they are good for the API server only, and only for as long as the secret is there and holds the very token. When one was used
// last is not noted in its secret, as upstream does for those who clean up: nothing in this cluster makes such secrets unasked.
const legacyIssuer = "kubernetes/serviceaccount"

// invalidSince is the label that takes a legacy token out of use without deleting it.
const invalidSince = "kubernetes.io/legacy-token-invalid-since"

// legacyClaims are what a legacy token says. The JSON is upstream's.
type legacyClaims struct {
	jwt.Claims
	Namespace string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	Secret    string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	Account   string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	UID       string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
}

func (c *legacyClaims) check() error {
	for _, claim := range []struct{ name, value string }{
		{"sub", c.Subject}, {"namespace", c.Namespace}, {"secretName", c.Secret}, {"serviceAccountName", c.Account}, {"serviceAccountUID", c.UID},
	} {
		if claim.value == "" {
			return fmt.Errorf("%s claim is missing", claim.name)
		}
	}
	if c.Subject != accountPrefix+c.Namespace+":"+c.Account {
		return errors.New("sub claim is invalid")
	}
	return nil
}

func (t *Tokens) recogniseLegacy(ctx context.Context, token string, c *legacyClaims, audiences []string) (*Identity, error) {
	good := common(audiences, t.audiences)
	if len(good) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", t.audiences, audiences)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := t.aliveLegacy(ctx, token, c); err != nil {
		return nil, err
	}
	t.Counts.token(true)
	return &Identity{accountUser(c.Namespace, c.Account, c.UID), good}, nil
}

// aliveLegacy says whether the token's secret and account are there and still mean it.
func (t *Tokens) aliveLegacy(ctx context.Context, token string, c *legacyClaims) error {
	o, err := t.get.Get(ctx, schema.GroupResource{Resource: "secrets"}, c.Namespace, c.Secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	secret, ok := o.(*corev1.Secret)
	switch {
	case err != nil || !ok || secret.DeletionTimestamp != nil:
		return errInvalidated
	case subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(token)) == 0:
		return errors.New("token does not match server's copy")
	}
	account, err := t.get.Get(ctx, schema.GroupResource{Resource: "serviceaccounts"}, c.Namespace, c.Account)
	switch {
	case err != nil:
		return err
	case account.GetDeletionTimestamp() != nil:
		return errors.New("service account has been deleted")
	case string(account.GetUID()) != c.UID:
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", account.GetUID(), c.UID)
	case secret.Labels[invalidSince] != "":
		return fmt.Errorf("the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens from the TokenRequest API"+
			" or manually created secret-based tokens, or remove the '%s' label from the secret to temporarily allow use of this token",
			c.Namespace, c.Secret, c.Namespace, c.Account, invalidSince)
	}
	return nil
}
