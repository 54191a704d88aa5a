package webhook

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
)

func credentials(t *testing.T, users string) *Credentials {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, []byte("apiVersion: v1\nkind: Config\nusers:\n"+users), 0o600))
	c, err := LoadCredentials(path)
	require.NoError(t, err)
	return c
}

func TestCredentialsAreNamedAfterWhomTheyAreFor(t *testing.T) {
	c := credentials(t, `
- {name: 'web.shop.svc:8443', user: {token: exact}}
- {name: 'web.shop.svc', user: {token: without port}}
- {name: '*.shop.svc', user: {token: domain}}
- {name: '*.example.com:9443', user: {token: domain with port}}
- {name: other, user: {token: context}}
`)
	for target, want := range map[string]string{
		"web.shop.svc:8443":    "exact",
		"web.shop.svc:443":     "without port",
		"db.shop.svc:443":      "domain",
		"db.shop.svc:8443":     "",
		"a.b.example.com:9443": "domain with port",
		"example.com:9443":     "",
	} {
		got := ""
		if u := c.userFor(target); u != nil {
			got = u.Token
		}
		require.Equal(t, want, got, target)
	}
	c = credentials(t, "- {name: other, user: {token: context}}\n- {name: '*', user: {token: all}}\n")
	require.Equal(t, "all", c.userFor("web.shop.svc:443").Token)
	c = credentials(t, "- {name: other, user: {token: context}}\ncontexts: [{name: c, context: {user: other}}]\ncurrent-context: c\n")
	require.Equal(t, "context", c.userFor("web.shop.svc:443").Token)
	_, err := LoadCredentials(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWebhooksAreShownCredentials(t *testing.T) {
	shown := ""
	s, _, _ := counting(t)
	answer := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = r.Header.Get("Authorization")
		answer.ServeHTTP(w, r)
	})
	ask1 := func(c *Credentials) string {
		clients := (&common{}).newClients(c)
		_, err := ask(t.Context(), hookTo(t, clients, admissionv1.WebhookClientConfig{URL: &s.URL, CABundle: caOf(s)}, "v1"),
			&reviewv1.AdmissionRequest{UID: "1"}, false)
		require.NoError(t, err)
		return shown
	}
	require.Empty(t, ask1(nil))
	require.Empty(t, ask1(credentials(t, "- {name: 'elsewhere:443', user: {token: secret}}\n")))
	require.Equal(t, "Bearer secret", ask1(credentials(t, "- {name: '"+s.Listener.Addr().String()+"', user: {token: secret}}\n")))
}
