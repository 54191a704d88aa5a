package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// CredentialID is the key in a user's extra that names the certificate or token.
const CredentialID = "authentication.kubernetes.io/credential-id"

// uidAttribute is Kubernetes' own attribute type for a user's UID in a certificate's subject.
var uidAttribute = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}

// seenLimit bounds the certificates remembered; a cluster has a few for each node.
const seenLimit = 4096

// certificates authenticates clients by certificate. Verifying one takes two elliptic curve operations, more than all
// other work on a small read, and clients send thousands of requests with the same; so what was verified is
// remembered until it expires.
type certificates struct {
	roots Authorities
	now   func() time.Time

	mu   sync.RWMutex
	seen map[[sha256.Size]byte]verified
}

// verified is a certificate that was found good; it is so until its chain expires, or the authorities change.
type verified struct {
	user       User
	by         *x509.CertPool
	from, till time.Time
}

// Authorities returns those who may sign for clients. It returns the same pool for as long as they are the same.
type Authorities func() *x509.CertPool

// NewX509 authenticates the clients whose certificates chain to roots. The server's tls.Config must ask for certificates
// (tls.RequestClientCert) and leave their verification to this, so that a bad one gets a 401 in words.
func NewX509(roots Authorities, now func() time.Time) Authenticator {
	return &certificates{roots: roots, now: now, seen: map[[sha256.Size]byte]verified{}}
}

func (c *certificates) Authenticate(r *http.Request) (User, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return User{}, false, nil
	}
	leaf, now, roots := r.TLS.PeerCertificates[0], c.now(), c.roots()
	sum := sha256.Sum256(leaf.Raw)
	c.mu.RLock()
	v, ok := c.seen[sum]
	c.mu.RUnlock()
	if ok && v.by == roots && now.After(v.from) && now.Before(v.till) {
		return v.user, true, nil
	}
	v, err := verify(leaf, r.TLS.PeerCertificates[1:], roots, now, sum)
	if err != nil {
		return User{}, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= seenLimit {
		clear(c.seen)
	}
	c.seen[sum] = v
	return v.user, true, nil
}

func verify(leaf *x509.Certificate, rest []*x509.Certificate, roots *x509.CertPool, now time.Time, sum [32]byte) (verified, error) {
	o := x509.VerifyOptions{
		Roots: roots, CurrentTime: now, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, i := range rest {
		o.Intermediates.AddCert(i)
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		return verified{}, fmt.Errorf("verifying certificate SN=%d: %w", leaf.SerialNumber, err)
	}
	u, err := userOf(leaf)
	if err != nil {
		return verified{}, err
	}
	u.Extra = map[string][]string{CredentialID: {"X509SHA256=" + hex.EncodeToString(sum[:])}}
	v := verified{user: u, by: roots, from: leaf.NotBefore, till: leaf.NotAfter}
	for _, link := range chains[0][1:] {
		if link.NotAfter.Before(v.till) {
			v.till = link.NotAfter
		}
	}
	return v, nil
}

// userOf reads the user out of a certificate's subject.
func userOf(leaf *x509.Certificate) (User, error) {
	u := User{Name: leaf.Subject.CommonName, Groups: leaf.Subject.Organization}
	if u.Name == "" {
		return u, errors.New("certificate has no common name, which is the name of the user")
	}
	for _, a := range leaf.Subject.Names {
		if !a.Type.Equal(uidAttribute) {
			continue
		}
		uid, ok := a.Value.(string)
		if !ok || uid == "" || u.UID != "" {
			return u, errors.New("certificate must have at most one UID, which is a string and not empty")
		}
		u.UID = uid
	}
	return u, nil
}
