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
	// Counts may be nil.
	Counts *Metrics

	issuer    string
	audiences []string
	signer    jose.Signer
	public    jose.JSONWebKey
	get       Getter
	now       func() time.Time
	verified  *cache[signed]
}

// Audiences are those that a token for the API server has.
func (t *Tokens) Audiences() []string { return t.audiences }

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
		verified: newCache[signed](tokenCacheLimit, now),
		public:   jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: string(alg), Use: "sig"},
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

// verifiedFor bounds how long a signature that was found good is not looked at again. What a token depends on always is.
const verifiedFor = 10 * time.Minute

// Recognise implements Recogniser: of tokens that this server signed.
func (t *Tokens) Recognise(ctx context.Context, token string, audiences []string) (*Identity, error) {
	v := t.verify(token)
	switch {
	case v.legacy != nil:
		return t.recogniseLegacy(ctx, token, v.legacy, audiences)
	case v.claims == nil:
		return nil, nil
	}
	good := common(audiences, v.claims.Audience)
	if len(good) == 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(v.claims.Audience), audiences)
	}
	if err := t.current(ctx, v.claims); err != nil {
		return nil, err
	}
	t.Counts.token()
	return &Identity{v.claims.user(), good}, nil
}

// signed is what a token says whose signature is ours; neither for one that is not.
type signed struct {
	claims *claims
	legacy *legacyClaims
}

// verify checks a token's signature. That takes an elliptic curve operation, more than all other work on a small read, and a
// token comes with thousands of requests.
func (t *Tokens) verify(token string) signed {
	if strings.Count(token, ".") != 2 {
		return signed{}
	}
	key := fingerprintOf(token)
	if v, ok := t.verified.get(key); ok {
		return v
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.public.Algorithm)})
	if err != nil {
		return signed{}
	}
	c, legacy := &claims{}, &legacyClaims{}
	if parsed.Claims(t.public.Key, c, legacy) != nil {
		return signed{}
	}
	v := signed{}
	switch c.Issuer {
	case t.issuer:
		v.claims = c
	case legacyIssuer:
		v.legacy = legacy
	}
	t.verified.put(key, v, verifiedFor)
	return v
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
	u := accountUser(k.Namespace, k.ServiceAccount.Name, k.ServiceAccount.UID)
	u.Extra = map[string][]string{}
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
		put("credential-id", c.credential())
	}
	return u
}

// NodeNameExtra is where a user who shows a token of a pod says on which node that runs.
const NodeNameExtra = "authentication.kubernetes.io/node-name"

// AccountOf takes the user name of a service account apart.
func AccountOf(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, accountPrefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

// credential is the name of the token among all.
func (c *claims) credential() string { return "JTI=" + c.ID }

// accountUser is a service account as a user.
func accountUser(namespace, name, uid string) User {
	return User{Name: accountPrefix + namespace + ":" + name, UID: uid,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}}
}
