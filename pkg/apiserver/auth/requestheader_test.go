package auth

import (
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestHeader(t *testing.T) {
	proxies, people := newAuthority(t), newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(proxies.cert)
	named := func(cn string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = cn }
	}
	front := proxies.client(t, named("front"))
	headers := http.Header{"X-Remote-User": {"joe"}, "X-Remote-Uid": {"7"}, "X-Remote-Group": {"a", "b"},
		"X-Remote-Extra-Team%2fa": {"x"}, "X-Other": {"stays"}}
	for name, tc := range map[string]struct {
		cert    *x509.Certificate
		headers http.Header
		user    string
		err     string
	}{
		"the proxy":              {front, headers, "joe", ""},
		"the proxy for nobody":   {front, http.Header{"X-Remote-Group": {"a"}}, "", ""},
		"another of that CA":     {proxies.client(t, named("jane")), headers, "", "x509: subject with cn=jane is not in the allowed list"},
		"of another CA":          {people.client(t, named("front")), headers, "", "certificate signed by unknown authority"},
		"of another CA, nothing": {people.client(t, named("front")), http.Header{}, "", ""},
		"without a certificate":  {nil, headers, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := NewRequestHeader(fixed(roots), HeaderNames{AllowedNames: []string{"front"}, User: []string{"X-Remote-User"}, UID: []string{"X-Remote-Uid"},
				Group: []string{"X-Remote-Group"}, ExtraPrefixes: []string{"x-remote-extra-"}}, func() time.Time { return start })
			r := withCert("/api", tc.cert)
			if tc.cert == nil {
				r.TLS = nil
			}
			r.Header = tc.headers.Clone()
			u, ok, err := h.Authenticate(r)
			require.Equal(t, tc.user != "", ok)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			if ok {
				require.Equal(t, User{Name: "joe", UID: "7", Groups: []string{"a", "b"}, Extra: map[string][]string{"team/a": {"x"}}}, u)
				require.Equal(t, http.Header{"X-Other": {"stays"}}, r.Header)
			}
		})
	}
}
