package auth

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestBootstrapTokens(t *testing.T) {
	const good = "abcdef.0123456789abcdef"
	data := func(name, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data[name] = []byte(value) }
	}
	groups := func(more ...string) []string { return append([]string{"system:bootstrappers"}, more...) }
	for name, tc := range map[string]struct {
		token  string
		change func(*corev1.Secret)
		groups []string // nil: not let in
	}{
		"as it should be":               {groups: groups()},
		"with an expiration to come":    {change: data("expiration", start.Add(time.Second).Format(time.RFC3339)), groups: groups()},
		"expired now":                   {change: data("expiration", start.Format(time.RFC3339))},
		"with an unreadable expiration": {change: data("expiration", "tomorrow")},
		"with groups": {change: data("auth-extra-groups", "system:bootstrappers:workers,system:bootstrappers:a,system:bootstrappers:a"),
			groups: groups("system:bootstrappers:a", "system:bootstrappers:workers")},
		"with a group of others":  {change: data("auth-extra-groups", "system:masters")},
		"with a group and a line": {change: data("auth-extra-groups", "system:bootstrappers:a\nsystem:masters")},
		"with another secret":     {token: "abcdef.0123456789abcdee"},
		"with another id":         {token: "abcdeg.0123456789abcdef"},
		"in capitals":             {token: "ABCDEF.0123456789abcdef"},
		"with more behind":        {token: good + "0"},
		"only for signing":        {change: func(s *corev1.Secret) { delete(s.Data, "usage-bootstrap-authentication") }},
		"with an odd usage":       {change: data("usage-bootstrap-authentication", "True")},
		"that names another id":   {change: data("token-id", "aaaaaa")},
		"of another type":         {change: func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }},
		"without a secret in it":  {change: func(s *corev1.Secret) { s.Data = nil }},
		"being deleted":           {change: func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: start} }},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Secret{ObjectMeta: meta("kube-system", "bootstrap-token-abcdef"), Type: corev1.SecretTypeBootstrapToken, Data: map[string][]byte{
				"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-authentication": []byte("true")}}
			if tc.change != nil {
				tc.change(s)
			}
			if tc.token == "" {
				tc.token = good
			}
			r := NewBootstrapTokens(objects{"secrets/kube-system/bootstrap-token-abcdef": s}, []string{Issuer}, func() time.Time { return start })
			id, err := r.Recognise(t.Context(), tc.token, []string{"vault", Issuer})
			require.NoError(t, err)
			if tc.groups == nil {
				require.Nil(t, id)
				return
			}
			require.Equal(t, &Identity{User{Name: "system:bootstrap:abcdef", Groups: tc.groups}, []string{Issuer}}, id)
			id, err = r.Recognise(t.Context(), tc.token, []string{"vault"})
			require.NoError(t, err)
			require.Nil(t, id, "a token for this server was taken to be for another")
		})
	}
}
