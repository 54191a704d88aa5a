package oldcert

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"

	"github.com/stretchr/testify/require"
)

func TestOldCertificatesAreCounted(t *testing.T) {
	named := &x509.Certificate{RawSubject: []byte("a"), RawIssuer: []byte("ca"),
		Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}}}}
	sha1, root := *named, *named
	sha1.SignatureAlgorithm, root.SignatureAlgorithm = x509.SHA1WithRSA, x509.SHA1WithRSA
	root.RawSubject = root.RawIssuer
	legacy := x509.HostnameError{Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "web"}}, Host: "web"}
	insecure := fmt.Errorf("%w: x509: cannot verify signature: insecure algorithm SHA1-RSA", x509.UnknownAuthorityError{})
	for name, tc := range map[string]struct {
		certs          []*x509.Certificate
		err            error
		nameless, sha1 float64
	}{
		"as it should be":              {certs: []*x509.Certificate{named}},
		"no names":                     {certs: []*x509.Certificate{{}}, nameless: 1},
		"signed by SHA-1":              {certs: []*x509.Certificate{named, &sha1}, sha1: 1},
		"an authority's own signature": {certs: []*x509.Certificate{named, &root}},
		"refused without names":        {err: fmt.Errorf("tls: %w", legacy), nameless: 1},
		"refused for SHA-1":            {err: insecure, sha1: 1},
		"refused for another name":     {err: x509.HostnameError{Certificate: named, Host: "web"}},
		"not there":                    {err: errors.New("connection refused")},
	} {
		t.Run(name, func(t *testing.T) {
			set := meter.New()
			counts := New(set, "test_")
			answer := httptest.NewRecorder().Result()
			answer.TLS = &tls.ConnectionState{PeerCertificates: tc.certs}
			counts.Look(httptest.NewRequest("GET", "https://web/", nil), answer, tc.err)
			require.Equal(t, tc.nameless, metertest.Counted(t, set, "test_x509_missing_san_total")[""])
			require.Equal(t, tc.sha1, metertest.Counted(t, set, "test_x509_insecure_sha1_total")[""])
		})
	}
}
