package oidc

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// Groups may lie with somebody else, who is asked with the token's own access token, and answers with a token.
func TestDistributedClaims(t *testing.T) {
	p := newProvider(t)
	answer := ""
	elsewhere := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer access" {
			http.Error(w, "who?", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, answer) // fails if the test has ended
	}))
	elsewhere.TLS = p.TLS.Clone() // of the authority that is believed
	elsewhere.StartTLS()
	t.Cleanup(elsewhere.Close)
	at := func(access string) map[string]any {
		return map[string]any{"_claim_names": map[string]any{"g": "s"}, "_claim_sources": map[string]any{"s": map[string]any{"endpoint": elsewhere.URL, "access_token": access}}}
	}
	r := recogniser(t, p.flags(t, func(f *Flags) { f.GroupsClaim = "g" }))
	for name, tc := range map[string]struct {
		claims, answer map[string]any
		groups         []string
		err            string
	}{
		"elsewhere":      {claims: at("access"), answer: map[string]any{"g": []string{"a", "b"}}, groups: []string{"a", "b"}},
		"here":           {claims: map[string]any{"g": []string{"c"}, "_claim_names": map[string]any{}}, groups: []string{"c"}},
		"of another":     {claims: map[string]any{"_claim_names": map[string]any{"x": "s"}, "_claim_sources": map[string]any{"s": map[string]any{"endpoint": "https://127.0.0.1:1"}}}},
		"nowhere":        {claims: map[string]any{"_claim_names": map[string]any{"g": "s"}}, err: "oidc: source does not exist"},
		"no such source": {claims: map[string]any{"_claim_names": map[string]any{"g": "t"}, "_claim_sources": map[string]any{}}, err: "oidc: source does not exist"},
		"not let in":     {claims: at("other"), err: `while getting distributed claim "g": error while getting distributed claim JWT: 401 Unauthorized`},
		"without groups": {claims: at("access"), answer: map[string]any{}, err: "did not contain claim: g"},
		"for others":     {claims: at("access"), answer: map[string]any{"g": "a", "aud": "x"}, err: `verify distributed claim token: oidc: expected audience "bonsai" got ["x"]`},
		"worn out":       {claims: at("access"), answer: map[string]any{"g": "a", "exp": time.Now().Add(-time.Hour).Unix()}, err: "token is expired"},
		"unknown issuer": {claims: at("access"), answer: map[string]any{"g": "a", "iss": "https://127.0.0.1:1"}, err: "verifying untrusted issuer https://127.0.0.1:1 failed"},
	} {
		t.Run(name, func(t *testing.T) {
			answer = sign(t, jose.RS256, p.key, p.claimsOf(tc.answer))
			all := p.claimsOf(tc.claims)
			all["case"] = name // so that what is remembered of another is not of this one
			id, err := found(t, r, sign(t, jose.RS256, p.key, all))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.groups, id.User.Groups)
		})
	}
}
