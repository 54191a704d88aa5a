package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates for the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a.cert = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1000 * time.Hour),
	})
	return a
}

func (a *authority) sign(t *testing.T, c *x509.Certificate) *x509.Certificate {
	t.Helper()
	c.SerialNumber = big.NewInt(7)
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, a.key.Public(), a.key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return parsed
}

func (a *authority) client(t *testing.T, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "jane", Organization: []string{"dev", "ops"}},
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(c)
	return a.sign(t, c)
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	same := func(*x509.Certificate) {}
	for name, tc := range map[string]struct {
		cert *x509.Certificate
		uid  string
		err  string
	}{
		"good":                {cert: ours.client(t, same)},
		"another authority":   {cert: theirs.client(t, same), err: "certificate signed by unknown authority"},
		"expired":             {cert: ours.client(t, func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Second) }), err: "expired"},
		"a server's":          {cert: ours.client(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), err: "incompatible key usage"},
		"without common name": {cert: ours.client(t, func(c *x509.Certificate) { c.Subject.CommonName = "" }), err: "no common name"},
		"with a UID": {uid: "123", cert: ours.client(t, func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: uidAttribute, Value: "123"}}
		})},
		"with two UIDs": {err: "at most one UID", cert: ours.client(t, func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: uidAttribute, Value: "1"}, {Type: uidAttribute, Value: "2"}}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			a := NewAuthenticator(Strangers{}, NewX509(fixed(roots), func() time.Time { return start }))
			for range 2 { // the second time from memory
				u, ok, err := a.Authenticate(withCert("/api/v1/pods", tc.cert))
				if tc.err != "" {
					require.ErrorContains(t, err, tc.err)
					require.False(t, ok)
					continue
				}
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, "jane", u.Name)
				require.Equal(t, tc.uid, u.UID)
				require.Equal(t, []string{"dev", "ops", "system:authenticated"}, u.Groups)
			}
		})
	}
}

func withCert(path string, certs ...*x509.Certificate) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: certs}
	return r
}

// What is remembered of a certificate must not outlive it.
func TestRememberedCertificateExpires(t *testing.T) {
	ca, now := newAuthority(t), start
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	a := NewX509(fixed(roots), func() time.Time { return now })
	r := withCert("/api", ca.client(t, func(*x509.Certificate) {}))
	_, ok, err := a.Authenticate(r)
	require.NoError(t, err)
	require.True(t, ok)
	now = start.Add(2 * time.Hour)
	_, ok, err = a.Authenticate(r)
	require.ErrorContains(t, err, "expired")
	require.False(t, ok)
}

func TestAnonymous(t *testing.T) {
	ca := newAuthority(t)
	a := NewAuthenticator(Strangers{Paths: []string{"/healthz", "/livez", "/readyz", "/version"}},
		NewX509(fixed(x509.NewCertPool()), func() time.Time { return start }), newDesk(t).bearer())
	for path, want := range map[string]bool{
		"/healthz": true, "/livez": true, "/readyz": true, "/version": true,
		"/": false, "/api": false, "/apis": false, "/api/v1/pods": false, "/metrics": false, "/healthz/etcd": false, "/openapi/v2": false,
	} {
		u, ok, err := a.Authenticate(httptest.NewRequest(http.MethodGet, path, nil))
		require.NoError(t, err)
		require.Equal(t, want, ok, path)
		if ok {
			require.Equal(t, User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}, u)
		}
	}
	_, ok, err := NewAuthenticator(Strangers{Anywhere: true}).Authenticate(httptest.NewRequest(http.MethodGet, "/api/v1/pods", nil))
	require.NoError(t, err)
	require.True(t, ok)
	// Bad credentials do not become anonymous.
	_, ok, err = a.Authenticate(withCert("/healthz", ca.client(t, func(*x509.Certificate) {})))
	require.Error(t, err)
	require.False(t, ok)
	r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	r.Header.Set("Authorization", "Bearer nonsense")
	_, ok, err = a.Authenticate(r)
	require.EqualError(t, err, "invalid bearer token")
	require.False(t, ok)
}

func fixed(p *x509.CertPool) Authorities { return func() *x509.CertPool { return p } }
