// Package oldcert tells of servers whose certificates are of a kind that is not accepted any longer: without a name in the extension for
// that, or signed by SHA-1.
//
// Webhooks and further API servers have certificates that somebody made once, often long ago, and clients of today refuse them; what
// that refusal says is not what people look for. So it is counted, by upstream's names, and the audit event of the request that
// needed the server names it.
package oldcert

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// Counts are of the servers of one sort. A nil one counts nothing.
type Counts struct{ kinds []kind }

// kind is one way in which a certificate is old.
type kind struct {
	id, reason string
	refused    func(error) bool
	accepted   func([]*x509.Certificate) bool
	total      prometheus.Counter
}

// New makes them in set; prefix is what their names begin with.
func New(set *meter.Set, prefix string) *Counts {
	return &Counts{[]kind{
		{"missing-san", "relies on a legacy Common Name field instead of the SAN extension for subject validation", refusedName, nameless,
			set.Counter(prefix+"x509_missing_san_total", "Answers of servers, or failures to reach them, by certificates that name no host.").WithLabelValues()},
		{"insecure-sha1", "uses an insecure SHA-1 signature", refusedSHA1, signedBySHA1,
			set.Counter(prefix+"x509_insecure_sha1_total", "Answers of servers, or failures to reach them, by certificates signed by SHA-1.").WithLabelValues()},
	}}
}

// Look counts what came of a request to a server.
func (c *Counts) Look(r *http.Request, answer *http.Response, err error) {
	if c == nil || err == nil && answer.TLS == nil {
		return
	}
	for _, k := range c.kinds {
		if err != nil && !k.refused(err) || err == nil && !k.accepted(answer.TLS.PeerCertificates) {
			continue
		}
		k.total.Inc()
		if host := r.URL.Hostname(); host != "" {
			audit.Annotate(r.Context(), k.id+".invalid-cert.kubernetes.io/"+host, k.reason)
		}
	}
}

func refusedName(err error) bool {
	return errors.As(err, new(x509.HostnameError)) && strings.Contains(err.Error(), "x509: certificate relies on legacy Common Name field")
}

// nameless tells whether the server's own certificate, the first, has no names where they belong.
func nameless(certs []*x509.Certificate) bool {
	if len(certs) == 0 {
		return false
	}
	for _, e := range certs[0].Extensions {
		if e.Id.String() == "2.5.29.17" {
			return false
		}
	}
	return true
}

func refusedSHA1(err error) bool {
	_, reason, found := strings.Cut(err.Error(), "x509: cannot verify signature: insecure algorithm")
	return found && strings.Contains(reason, "SHA1") && errors.As(err, new(x509.UnknownAuthorityError))
}

// signedBySHA1 leaves authorities out that have signed themselves: nobody looks at that signature.
func signedBySHA1(certs []*x509.Certificate) bool {
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
		old := c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1
		return old && !bytes.Equal(c.RawIssuer, c.RawSubject)
	})
}
