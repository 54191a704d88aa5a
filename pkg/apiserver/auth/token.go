package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Issuer is who service account tokens are from, and the audience of those for the API server.
const Issuer = "https://kubernetes.default.svc.cluster.local"

// accountPrefix begins the user names of service accounts.
const accountPrefix = "system:serviceaccount:"

// Tokens issues service account tokens and recognises them.
//
// A token says in itself whom it is for and until when, and which objects must still be there for it to count: its
// service account always, and the pod, secret or node it is bound to. So the signature is checked first, then the
// claims, and last that each of these objects exists with the same UID and was not deleted more than a minute ago.
type Tokens struct {
	issuer    string
	audiences []string
	signer    jose.Signer
	public    jose.JSONWebKey
	get       Getter
	now       func() time.Time
}

// NewTokens returns the tokens signed by key, which is an ECDSA key on P-256 or an RSA key.
func NewTokens(key crypto.Signer, issuer string, g Getter, now func() time.Time) (*Tokens, error) {
	alg := jose.ES256
	switch key.Public().(type) {
	case *ecdsa.PublicKey:
	case *rsa.PublicKey:
		alg = jose.RS256
	default:
		return nil, fmt.Errorf("sign tokens: a %T is neither an ECDSA nor an RSA key", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("sign tokens: %w", err)
	}
	sum := sha256.Sum256(der)
	id := base64.RawURLEncoding.EncodeToString(sum[:])
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		return nil, fmt.Errorf("sign tokens: %w", err)
	}
	return &Tokens{
		issuer: issuer, audiences: []string{issuer}, signer: signer, get: g, now: now,
		public: jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: string(alg), Use: "sig"},
	}, nil
}

// claims are the token's own, beside the registered ones of RFC 7519. The JSON is upstream's.
type claims struct {
	jwt.Claims
	// Audience is a list also if there is only one, for readers who know nothing else.
	Audience   audience `json:"aud,omitempty"`
	Kubernetes bound    `json:"kubernetes.io"`
}

// audience is written as a list, and read in both forms that RFC 7519 allows.
type audience []string

// UnmarshalJSON reads a list or a single string.
func (a *audience) UnmarshalJSON(b []byte) error { return (*jwt.Audience)(a).UnmarshalJSON(b) }

// bound names the objects a token depends on.
type bound struct {
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount ref    `json:"serviceaccount"`
	Pod            *ref   `json:"pod,omitempty"`
	Secret         *ref   `json:"secret,omitempty"`
	Node           *ref   `json:"node,omitempty"`
}

type ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// Authenticate reads the token of an Authorization header. A bearer token that nobody recognises is a bad one.
func (t *Tokens) Authenticate(r *http.Request) (User, bool, error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return User{}, false, nil
	}
	u, _, err := t.Recognise(r.Context(), token, nil)
	if err != nil {
		return User{}, false, err
	}
	return u, true, nil
}

// Recognise says whose a token is, and for which of the given audiences it is good; none means those of the API server.
func (t *Tokens) Recognise(ctx context.Context, token string, audiences []string) (User, []string, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.public.Algorithm)})
	if err != nil {
		return User{}, nil, errors.New("invalid bearer token")
	}
	var c claims
	if err := parsed.Claims(t.public.Key, &c); err != nil || c.Issuer != t.issuer {
		return User{}, nil, errors.New("invalid bearer token")
	}
	if len(audiences) == 0 {
		audiences = t.audiences
	}
	good := slices.DeleteFunc(slices.Clone(audiences), func(a string) bool { return !slices.Contains(c.Audience, a) })
	if len(good) == 0 {
		return User{}, nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(c.Audience), audiences)
	}
	if err := t.current(ctx, &c); err != nil {
		return User{}, nil, err
	}
	return c.user(), good, nil
}

// current says whether a token with a good signature still counts.
func (t *Tokens) current(ctx context.Context, c *claims) error {
	now := t.now()
	switch {
	case c.Expiry == nil || now.After(c.Expiry.Time()):
		return errors.New("service account token has expired")
	case c.NotBefore != nil && now.Before(c.NotBefore.Time()):
		return errors.New("service account token is not valid yet")
	}
	return t.alive(ctx, &c.Kubernetes, now)
}

// user is the service account of a token.
func (c *claims) user() User {
	k := &c.Kubernetes
	u := User{
		Name:   accountPrefix + k.Namespace + ":" + k.ServiceAccount.Name,
		UID:    k.ServiceAccount.UID,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + k.Namespace},
		Extra:  map[string][]string{},
	}
	put := func(key, value string) {
		if value != "" {
			u.Extra["authentication.kubernetes.io/"+key] = []string{value}
		}
	}
	if k.Pod != nil {
		put("pod-name", k.Pod.Name)
		put("pod-uid", k.Pod.UID)
	}
	if k.Node != nil {
		put("node-name", k.Node.Name)
		put("node-uid", k.Node.UID)
	}
	if c.ID != "" {
		put("credential-id", "JTI="+c.ID)
	}
	return u
}
