package auth

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLegacyTokens(t *testing.T) {
	const invalidated = "service account token has been invalidated"
	claim := func(name, value string) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	for name, tc := range map[string]struct {
		claims    func(map[string]any)
		change    func(*desk, *corev1.Secret)
		audiences []string
		want      string
	}{
		"good":              {},
		"for others":        {audiences: []string{"vault"}, want: `token audiences ["` + Issuer + `"] is invalid for the target audiences ["vault"]`},
		"secret gone":       {change: func(d *desk, _ *corev1.Secret) { delete(d.objects, "secrets/shop/web-secret") }, want: invalidated},
		"secret going":      {change: func(_ *desk, s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: start} }, want: invalidated},
		"another token":     {change: func(_ *desk, s *corev1.Secret) { s.Data["token"] = []byte("x") }, want: "token does not match server's copy"},
		"account gone":      {change: func(d *desk, _ *corev1.Secret) { delete(d.objects, "serviceaccounts/shop/web-sa") }, want: `serviceaccounts "web-sa" not found`},
		"account made anew": {change: func(d *desk, _ *corev1.Secret) { d.account("web-sa").UID = "other" }, want: `service account UID (other) does not match claim (web-sa-uid)`},
		"marked": {change: func(_ *desk, s *corev1.Secret) { s.Labels = map[string]string{invalidSince: "2026-11-22"} },
			want: "the token in secret shop/web-secret for service account shop/web-sa has been marked invalid. Use tokens from the TokenRequest API or manually created" +
				" secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"},
		"another subject": {claims: claim("sub", "system:serviceaccount:shop:db-sa"), want: "sub claim is invalid"},
		"no UID":          {claims: claim("kubernetes.io/serviceaccount/service-account.uid", ""), want: "serviceAccountUID claim is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			c := map[string]any{"iss": legacyIssuer, "sub": "system:serviceaccount:shop:web-sa",
				"kubernetes.io/serviceaccount/namespace": "shop", "kubernetes.io/serviceaccount/secret.name": "web-secret",
				"kubernetes.io/serviceaccount/service-account.name": "web-sa", "kubernetes.io/serviceaccount/service-account.uid": "web-sa-uid"}
			if tc.claims != nil {
				tc.claims(c)
			}
			token := forgeAny(t, d.key, c)
			secret := d.objects["secrets/shop/web-secret"].(*corev1.Secret)
			secret.Data = map[string][]byte{"token": []byte(token)}
			if tc.change != nil {
				tc.change(d, secret)
			}
			id, err := d.bearer().Recognise(t.Context(), token, tc.audiences)
			if tc.want != "" {
				require.EqualError(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, &Identity{accountUser("shop", "web-sa", "web-sa-uid"), []string{Issuer}}, id)
		})
	}
}
