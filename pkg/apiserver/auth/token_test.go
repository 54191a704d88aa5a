package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// desk issues and recognises tokens; its clock is set by hand.
type desk struct {
	*Tokens
	objects objects
	key     *ecdsa.PrivateKey
	now     time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{objects: cluster(), now: start}
	var err error
	d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	d.Tokens, err = NewTokens(d.key, Issuer, d.objects, func() time.Time { return d.now })
	require.NoError(t, err)
	return d
}

func (d *desk) bearer() *Bearer {
	return &Bearer{Audiences: d.Audiences(), Recognisers: []Recogniser{d.Tokens}}
}

func (d *desk) account(name string) *corev1.ServiceAccount {
	return d.objects["serviceaccounts/shop/"+name].(*corev1.ServiceAccount)
}

// issue returns a token for shop/web-sa, bound to an object of the given kind if it is not "".
func (d *desk) issue(t *testing.T, kind, name string) string {
	t.Helper()
	req := &authenticationv1.TokenRequest{}
	if kind != "" {
		req.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}
	}
	_, err := d.Issue(context.Background(), d.account("web-sa"), req)
	require.NoError(t, err)
	return req.Status.Token
}

func TestTokenSaysWhoAndWhere(t *testing.T) {
	d := newDesk(t)
	for name, tc := range map[string]struct {
		kind, object string
		extra        map[string]string
	}{
		"unbound": {},
		"to a pod": {"Pod", "web", map[string]string{
			"pod-name": "web", "pod-uid": "web-uid", "node-name": "oak", "node-uid": "oak-uid"}},
		"to a secret": {"Secret", "web-secret", nil},
		"to a node":   {"Node", "elm", map[string]string{"node-name": "elm", "node-uid": "elm-uid"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/api", nil)
			r.Header.Set("Authorization", "Bearer "+d.issue(t, tc.kind, tc.object))
			u, ok, err := NewAuthenticator(Strangers{}, d.bearer()).Authenticate(r)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, "system:serviceaccount:shop:web-sa", u.Name)
			require.Equal(t, "web-sa-uid", u.UID)
			require.Equal(t, []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"}, u.Groups)
			require.Regexp(t, "^JTI=", u.Extra["authentication.kubernetes.io/credential-id"][0])
			delete(u.Extra, "authentication.kubernetes.io/credential-id")
			got := map[string]string{}
			for k, v := range u.Extra {
				got[strings.TrimPrefix(k, "authentication.kubernetes.io/")] = v[0]
			}
			if tc.extra == nil {
				tc.extra = map[string]string{}
			}
			require.Equal(t, tc.extra, got)
		})
	}
}

// A token that counted a moment ago must stop to count when what it depends on goes.
func TestTokenIsInvalidated(t *testing.T) {
	const invalidated = "service account token has been invalidated"
	deletedAt := func(d *desk, key string, ago time.Duration) {
		at := metav1.NewTime(d.now.Add(-ago))
		d.objects[key].SetDeletionTimestamp(&at)
	}
	for name, tc := range map[string]struct {
		kind, object string
		change       func(d *desk)
		want         string
	}{
		"nothing changed":     {"Pod", "web", func(*desk) {}, ""},
		"expired":             {"", "", func(d *desk) { d.now = d.now.Add(time.Hour + time.Second) }, "service account token has expired"},
		"not valid yet":       {"", "", func(d *desk) { d.now = d.now.Add(-time.Minute) }, "service account token is not valid yet"},
		"account gone":        {"", "", func(d *desk) { delete(d.objects, "serviceaccounts/shop/web-sa") }, invalidated},
		"account made anew":   {"", "", func(d *desk) { d.account("web-sa").UID = "other" }, invalidated},
		"pod gone":            {"Pod", "web", func(d *desk) { delete(d.objects, "pods/shop/web") }, invalidated},
		"pod made anew":       {"Pod", "web", func(d *desk) { d.objects["pods/shop/web"].SetUID("other") }, invalidated},
		"pod being deleted":   {"Pod", "web", func(d *desk) { deletedAt(d, "pods/shop/web", 50*time.Second) }, ""},
		"pod deleted":         {"Pod", "web", func(d *desk) { deletedAt(d, "pods/shop/web", 61*time.Second) }, invalidated},
		"secret gone":         {"Secret", "web-secret", func(d *desk) { delete(d.objects, "secrets/shop/web-secret") }, invalidated},
		"node gone":           {"Node", "oak", func(d *desk) { delete(d.objects, "nodes//oak") }, invalidated},
		"node of the pod":     {"Pod", "web", func(d *desk) { delete(d.objects, "nodes//oak") }, ""},
		"another pod is gone": {"Pod", "web", func(d *desk) { delete(d.objects, "pods/shop/db") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			token := d.issue(t, tc.kind, tc.object)
			tc.change(d)
			_, err := d.bearer().Recognise(context.Background(), token, nil)
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.want)
			}
		})
	}
}

// forge signs a token with the claims of a good one, as an attacker would.
func forge(t *testing.T, alg jose.SignatureAlgorithm, key any, change func(*claims)) string {
	t.Helper()
	c := claims{
		Claims: jwt.Claims{
			Issuer: Issuer, Subject: "system:serviceaccount:shop:web-sa",
			IssuedAt: jwt.NewNumericDate(start), Expiry: jwt.NewNumericDate(start.Add(time.Hour)),
		},
		Audience: audience{Issuer}, Kubernetes: bound{Namespace: "shop", ServiceAccount: ref{"web-sa", "web-sa-uid"}},
	}
	change(&c)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	require.NoError(t, err)
	token, err := jwt.Signed(s).Claims(c).Serialize()
	require.NoError(t, err)
	return token
}

func forgeAny(t *testing.T, key any, c any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	require.NoError(t, err)
	token, err := jwt.Signed(s).Claims(c).Serialize()
	require.NoError(t, err)
	return token
}

func TestForgedTokens(t *testing.T) {
	d := newDesk(t)
	good := d.issue(t, "", "")
	parts := strings.Split(good, ".")
	same := func(*claims) {}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	public, err := json.Marshal(d.public)
	require.NoError(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)

	for name, tc := range map[string]struct{ token, want string }{
		"good":                        {forge(t, jose.ES256, d.key, same), ""},
		"audience as a single string": {forgeAny(t, d.key, map[string]any{"iss": Issuer, "aud": Issuer, "exp": start.Add(time.Hour).Unix(), "kubernetes.io": bound{Namespace: "shop", ServiceAccount: ref{"web-sa", "web-sa-uid"}}}), ""},
		"no token":                    {"x", "invalid bearer token"},
		"alg none":                    {encode(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".", "invalid bearer token"},
		"alg none, signature kept":    {encode(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], "invalid bearer token"},
		"the public key as a secret":  {forge(t, jose.HS256, public, same), "invalid bearer token"},
		"another key":                 {forge(t, jose.ES256, other, same), "invalid bearer token"},
		"another algorithm":           {forge(t, jose.RS256, rsaKey, same), "invalid bearer token"},
		"claims changed":              {parts[0] + "." + encode(strings.Replace(string(payload), "web-sa", "db-sa", -1)) + "." + parts[2], "invalid bearer token"},
		"signature cut off":           {parts[0] + "." + parts[1] + ".", "invalid bearer token"},
		"another issuer":              {forge(t, jose.ES256, d.key, func(c *claims) { c.Issuer = "https://elsewhere" }), "invalid bearer token"},
		"another audience":            {forge(t, jose.ES256, d.key, func(c *claims) { c.Audience = audience{"vault"} }), `token audiences ["vault"] is invalid for the target audiences ["` + Issuer + `"]`},
		"no audience":                 {forge(t, jose.ES256, d.key, func(c *claims) { c.Audience = nil }), `token audiences [] is invalid for the target audiences ["` + Issuer + `"]`},
		"no expiry":                   {forge(t, jose.ES256, d.key, func(c *claims) { c.Expiry = nil }), "service account token has expired"},
		"expired":                     {forge(t, jose.ES256, d.key, func(c *claims) { c.Expiry = jwt.NewNumericDate(start.Add(-time.Second)) }), "service account token has expired"},
		"an account that is not here": {forge(t, jose.ES256, d.key, func(c *claims) { c.Kubernetes.ServiceAccount.Name = "ghost" }), "service account token has been invalidated"},
		"without kubernetes' claims":  {forge(t, jose.ES256, d.key, func(c *claims) { c.Kubernetes = bound{} }), "service account token has been invalidated"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.bearer().Recognise(context.Background(), tc.token, nil)
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.want)
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	d := newDesk(t)
	seconds := func(n int64) authenticationv1.TokenRequestSpec {
		return authenticationv1.TokenRequestSpec{ExpirationSeconds: &n}
	}
	to := func(r authenticationv1.BoundObjectReference) authenticationv1.TokenRequestSpec {
		return authenticationv1.TokenRequestSpec{BoundObjectRef: &r}
	}
	for name, tc := range map[string]struct {
		meta metav1.ObjectMeta
		spec authenticationv1.TokenRequestSpec
		want string
	}{
		"too short":       {spec: seconds(599), want: `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		"too long":        {spec: seconds(1<<32 + 1), want: `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`},
		"another account": {meta: metav1.ObjectMeta{Name: "db-sa"}, want: `TokenRequest.authentication.k8s.io "web-sa" is invalid: metadata.name: Invalid value: "db-sa": must match the service account name if specified`},
		"another one of that name": {meta: metav1.ObjectMeta{UID: "old"},
			want: `Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "web-sa": the UID in the token request (old) does not match the UID of the service account (web-sa-uid)`},
		"a kind that binds nothing": {spec: to(authenticationv1.BoundObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}),
			want: "cannot bind token to object of type apps/v1, Kind=Deployment"},
		"a pod that is not there": {spec: to(authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "ghost"}), want: `pods "ghost" not found`},
		"a pod of another account": {spec: to(authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "db"}),
			want: `cannot bind token for serviceaccount "web-sa" to pod running with different serviceaccount name.`},
		"a pod of before": {spec: to(authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "web", UID: types.UID("old")}),
			want: `Operation cannot be fulfilled on Pod "web": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Issue(context.Background(), d.account("web-sa"), &authenticationv1.TokenRequest{ObjectMeta: tc.meta, Spec: tc.spec})
			require.EqualError(t, err, tc.want)
		})
	}
}

// Who has the published key can verify a token without this code.
func TestPublishedKeyVerifies(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.RS256: rsaKey, jose.ES256: ecKey} {
		d := newDesk(t)
		tokens, err := NewTokens(key, Issuer, d.objects, func() time.Time { return start })
		require.NoError(t, err)
		req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}}
		_, err = tokens.Issue(context.Background(), d.account("web-sa"), req)
		require.NoError(t, err)

		w := httptest.NewRecorder()
		tokens.ServeJWKS(w, nil)
		var keys jose.JSONWebKeySet
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &keys))
		parsed, err := jwt.ParseSigned(req.Status.Token, []jose.SignatureAlgorithm{alg})
		require.NoError(t, err)
		var c map[string]any
		require.NoError(t, parsed.Claims(keys, &c))
		require.Equal(t, []any{"vault"}, c["aud"])

		w = httptest.NewRecorder()
		tokens.ServeOpenIDConfig(w, nil)
		require.JSONEq(t, `{"issuer":"`+Issuer+`","jwks_uri":"`+Issuer+`/openid/v1/jwks","response_types_supported":["id_token"],
			"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["`+string(alg)+`"]}`, w.Body.String())
	}
}
