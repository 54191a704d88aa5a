package oidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/apiserver/auth"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"k8s.io/apiserver/pkg/apis/apiserver"
)

// provider is an issuer of tokens.
type provider struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := &provider{key: key}
	mux := http.NewServeMux()
	answer := func(path string, v func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			require.NoError(t, json.NewEncoder(w).Encode(v()))
		})
	}
	answer("/.well-known/openid-configuration", func() any { return map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys"} })
	answer("/keys", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}}
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, c map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	require.NoError(t, err)
	token, err := jwt.Signed(s).Claims(c).Serialize()
	require.NoError(t, err)
	return token
}

// claimsOf are those of a good token, with changes; a change to nil takes the claim away.
func (p *provider) claimsOf(changes map[string]any) map[string]any {
	c := map[string]any{"iss": p.URL, "aud": "bonsai", "sub": "1", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// recogniser returns what recognises the tokens of specs, once the issuer was found.
func recogniser(t *testing.T, spec apiserver.JWTAuthenticator, algs ...string) auth.Recogniser {
	all, err := NewIssuers(t.Context(), []apiserver.JWTAuthenticator{spec}, []string{"api"}, []string{"https://self"},
		Options{SigningAlgs: algs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return all
}

// found asks until the issuer was found.
func found(t *testing.T, r auth.Recogniser, token string) (*auth.Identity, error) {
	for {
		id, err := r.Recognise(t.Context(), token, []string{"api"})
		if err == nil || err.Error() != "oidc: authenticator not initialized" {
			return id, err
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the issuer was not found")
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *provider) flags(t *testing.T, change func(*Flags)) apiserver.JWTAuthenticator {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, []byte(p.ca()), 0o600))
	f := Flags{IssuerURL: p.URL, ClientID: "bonsai", CAFile: ca, UsernameClaim: "sub"}
	change(&f)
	spec, err := f.Config()
	require.NoError(t, err)
	return *spec
}

func TestFlags(t *testing.T) {
	p := newProvider(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		flags  func(*Flags)
		claims map[string]any
		token  func(map[string]any) string
		want   auth.User
		err    string
	}{
		"the subject":       {want: auth.User{Name: p.URL + "#1"}},
		"without a prefix":  {flags: func(f *Flags) { f.UsernamePrefix = "-" }, want: auth.User{Name: "1"}},
		"the email":         {flags: func(f *Flags) { f.UsernameClaim = "email" }, claims: map[string]any{"email": "j@x"}, want: auth.User{Name: "j@x"}},
		"a verified email":  {flags: func(f *Flags) { f.UsernameClaim = "email" }, claims: map[string]any{"email": "j@x", "email_verified": true}, want: auth.User{Name: "j@x"}},
		"an unknown email":  {flags: func(f *Flags) { f.UsernameClaim = "email" }, claims: map[string]any{"email": "j@x", "email_verified": false}, err: "oidc: email not verified"},
		"no name":           {flags: func(f *Flags) { f.UsernameClaim = "name" }, err: `oidc: parse username claims "name": claim not present`},
		"groups":            {flags: func(f *Flags) { f.GroupsClaim, f.GroupsPrefix = "g", "o:" }, claims: map[string]any{"g": []string{"a", "b"}}, want: auth.User{Name: p.URL + "#1", Groups: []string{"o:a", "o:b"}}},
		"one group":         {flags: func(f *Flags) { f.GroupsClaim = "g" }, claims: map[string]any{"g": "a"}, want: auth.User{Name: p.URL + "#1", Groups: []string{"a"}}},
		"no groups":         {flags: func(f *Flags) { f.GroupsClaim = "g" }, want: auth.User{Name: p.URL + "#1"}},
		"a required claim":  {flags: func(f *Flags) { f.RequiredClaims = map[string]string{"hd": "x"} }, claims: map[string]any{"hd": "x"}, want: auth.User{Name: p.URL + "#1"}},
		"a missing claim":   {flags: func(f *Flags) { f.RequiredClaims = map[string]string{"hd": "x"} }, err: "oidc: required claim hd not present in ID token"},
		"a wrong claim":     {flags: func(f *Flags) { f.RequiredClaims = map[string]string{"hd": "x"} }, claims: map[string]any{"hd": "y"}, err: "oidc: required claim hd value does not match. Got = y, want = x"},
		"an id":             {claims: map[string]any{"jti": "7"}, want: auth.User{Name: p.URL + "#1", Extra: map[string][]string{auth.CredentialID: {"JTI=7"}}}},
		"several audiences": {claims: map[string]any{"aud": []string{"x", "bonsai"}}, want: auth.User{Name: p.URL + "#1"}},
		"for others":        {claims: map[string]any{"aud": "x"}, err: `oidc: verify token: oidc: expected audience "bonsai" got ["x"]`},
		"expired":           {claims: map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, err: "oidc: token is expired"},
		"another key":       {token: func(c map[string]any) string { return sign(t, jose.RS256, other, c) }, err: "failed to verify signature"},
		"another algorithm": {token: func(c map[string]any) string { return sign(t, jose.ES256, ec, c) }, err: "unexpected signature algorithm"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.flags == nil {
				tc.flags = func(*Flags) {}
			}
			if tc.token == nil {
				tc.token = func(c map[string]any) string { return sign(t, jose.RS256, p.key, c) }
			}
			id, err := found(t, recogniser(t, p.flags(t, tc.flags)), tc.token(p.claimsOf(tc.claims)))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				require.Nil(t, id)
				return
			}
			require.NoError(t, err)
			require.Equal(t, &auth.Identity{User: tc.want, Audiences: []string{"api"}}, id)
		})
	}
}

const configured = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: URL
    audiences: [bonsai, forest]
    audienceMatchPolicy: MatchAny
    certificateAuthority: |
CA
  claimValidationRules:
  - expression: 'claims.level > 3'
    message: grow first
  claimMappings:
    username: {expression: '"tree:" + claims.sub'}
    groups: {expression: 'claims.roles.split(",")'}
    uid: {claim: id}
    extra:
    - {key: example.com/leaf, valueExpression: 'claims.tree.leaf'}
  userValidationRules:
  - expression: "!user.username.startsWith('tree:system')"
    message: 'no'
anonymous:
  enabled: true
  conditions: [{path: /healthz}]
`

// TestConfiguration maps claims by CEL.
func TestConfiguration(t *testing.T) {
	p := newProvider(t)
	indented := "      " + strings.ReplaceAll(strings.TrimSpace(p.ca()), "\n", "\n      ")
	path := filepath.Join(t.TempDir(), "authn.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.NewReplacer("URL", p.URL, "CA\n", indented+"\n").Replace(configured)), 0o600))
	c, _, err := Read(path, "https://self")
	require.NoError(t, err)
	require.Equal(t, "/healthz", c.Anonymous.Conditions[0].Path)
	r := recogniser(t, c.JWT[0])
	for name, tc := range map[string]struct {
		claims map[string]any
		want   *auth.User
		err    string
	}{
		"good": {want: &auth.User{Name: "tree:1", UID: "u", Groups: []string{"a", "b"}, Extra: map[string][]string{"example.com/leaf": {"green", "red"}}}},
		"the other audience, no leaf": {claims: map[string]any{"aud": "forest", "tree": map[string]any{"leaf": ""}},
			want: &auth.User{Name: "tree:1", UID: "u", Groups: []string{"a", "b"}}},
		"too low":         {claims: map[string]any{"level": 3}, err: "oidc: error evaluating claim validation expression: validation expression 'claims.level > 3' failed: grow first"},
		"a bad name":      {claims: map[string]any{"sub": "system"}, err: "oidc: error evaluating user info validation rule: validation expression '!user.username.startsWith('tree:system')' failed: no"},
		"leaf is no text": {claims: map[string]any{"tree": map[string]any{"leaf": 1}}, err: "oidc: error evaluating extra claim expression: claims.tree.leaf: expression must return a string or a list of strings"},
		"no roles":        {claims: map[string]any{"roles": nil}, err: "oidc: error evaluating group claim expression: expression 'claims.roles.split(\",\")' resulted in error: no such key: roles"},
		"for others":      {claims: map[string]any{"aud": "x"}, err: `oidc: verify token: oidc: expected audience in ["bonsai" "forest"] got ["x"]`},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[string]any{"level": 4, "roles": "a,b", "id": "u", "tree": map[string]any{"leaf": []string{"green", "", "red"}}}
			for k, v := range tc.claims {
				all[k] = v
			}
			id, err := found(t, r, sign(t, jose.RS256, p.key, p.claimsOf(all)))
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, *tc.want, id.User)
		})
	}
}

// TestUnreachable: an issuer that is away refuses its own tokens, and leaves others to others.
func TestUnreachable(t *testing.T) {
	p := newProvider(t)
	r := recogniser(t, p.flags(t, func(f *Flags) { f.IssuerURL = "https://127.0.0.1:1" }))
	id, err := r.Recognise(t.Context(), sign(t, jose.RS256, p.key, p.claimsOf(map[string]any{"iss": "https://127.0.0.1:1"})), []string{"api"})
	require.EqualError(t, err, "oidc: authenticator not initialized")
	require.Nil(t, id)
	for _, token := range []string{sign(t, jose.RS256, p.key, p.claimsOf(nil)), "x", "a.b.c", ""} {
		id, err := r.Recognise(t.Context(), token, []string{"api"})
		require.NoError(t, err)
		require.Nil(t, id)
	}
}

func TestBadFlags(t *testing.T) {
	_, err := Flags{IssuerURL: "https://x"}.Config()
	require.EqualError(t, err, "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")
	_, err = Flags{IssuerURL: "https://x", ClientID: "c", SigningAlgs: []string{"HS256"}}.Config()
	require.EqualError(t, err, `oidc: unsupported signing alg: "HS256"`)
	spec, err := Flags{IssuerURL: "http://x", ClientID: "c", UsernameClaim: "sub"}.Config()
	require.NoError(t, err)
	_, err = NewIssuers(t.Context(), []apiserver.JWTAuthenticator{*spec}, nil, nil, Options{Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, `Invalid value: "http://x": URL scheme must be https`)
}
