package apiserver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSettings(t *testing.T) {
	s, flags, err := ParseSettings([]string{"anonymous-auth=false", "--oidc-required-claim=a=b", "oidc-required-claim=c=d", "-audit-log-maxsize=7", "audit-log-compress"})
	require.NoError(t, err)
	require.Equal(t, []string{"--anonymous-auth=false", "--oidc-required-claim=a=b", "--oidc-required-claim=c=d", "--audit-log-maxsize=7", "--audit-log-compress"}, flags)
	require.True(t, s.NoAnonymousAuth)
	require.False(t, s.NoBootstrapTokens)
	require.Equal(t, map[string]string{"a": "b", "c": "d"}, s.OIDC.RequiredClaims)
	require.Equal(t, 7, s.AuditLog.MaxSize)
	require.True(t, s.AuditLog.Compress)
	require.Equal(t, []string{"X-Remote-User"}, s.RequestHeader.User, "the default of a flag")
	require.Equal(t, 2*time.Minute, s.TokenWebhook.CacheTTL)

	for arg, want := range map[string]string{
		"nonsense=1":           "unknown flag: --nonsense",
		"audit-log-maxage=old": "invalid argument",
		"anonymous-auth=maybe": `"maybe" is neither true nor false`,
		"etcd-servers=x":       "unknown flag: --etcd-servers", // which `bonsai up` has a flag of its own for
	} {
		_, _, err := ParseSettings([]string{arg})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "`bonsai apiserver --help` lists them")
	}
}
