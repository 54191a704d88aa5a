package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// pair is a certificate and its key as found on disk; either may be nil.
type pair struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

// fits says whether the key is the certificate's.
func (p *pair) fits() bool { return p.key.PublicKey.Equal(p.cert.PublicKey) }

func (p *pair) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}
}

// load reads name.crt and name.key. What is missing or cannot be parsed (half-written by something else, or an empty
// file after a power failure) is nil, and so made anew; that it cannot be read is an error.
func load(dir, name string) (*pair, error) {
	p := &pair{}
	var err error
	if p.certPEM, err = readIfThere(filepath.Join(dir, name+".crt")); err != nil {
		return nil, err
	}
	if p.keyPEM, err = readIfThere(filepath.Join(dir, name+".key")); err != nil {
		return nil, err
	}
	if b, _ := pem.Decode(p.certPEM); b != nil {
		p.cert, _ = x509.ParseCertificate(b.Bytes)
	}
	p.key = parseKey(p.keyPEM)
	return p, nil
}

func readIfThere(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return b, nil
}

func parseKey(b []byte) *ecdsa.PrivateKey {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	return key
}

// issueCA makes the authority, with its old key if there is one.
func issueCA(dir string, key *ecdsa.PrivateKey, now time.Time) (*pair, error) {
	t := template(pkix.Name{CommonName: "kubernetes"}, now, authorityLife)
	t.IsCA = true
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign
	return sign(dir, "ca", t, nil, key)
}

// issue makes a leaf with a new key.
func issue(dir string, ca *pair, l leaf, now time.Time) (*pair, error) {
	t := template(l.subject, now, leafLife)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{l.usage}
	t.DNSNames, t.IPAddresses = l.dns, l.ips
	if t.NotAfter.After(ca.cert.NotAfter) {
		t.NotAfter = ca.cert.NotAfter
	}
	return sign(dir, l.name, t, ca, nil)
}

func template(subject pkix.Name, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject: subject, NotBefore: now.Add(-skew), NotAfter: now.Add(life), BasicConstraintsValid: true,
	}
}

// sign writes the key and then the certificate. Without a CA it signs itself; without a key it makes one.
func sign(dir, name string, t *x509.Certificate, ca *pair, key *ecdsa.PrivateKey) (*pair, error) {
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make key of %s: %w", name, err)
		}
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, fmt.Errorf("make serial of %s: %w", name, err)
	}
	parent, signer := t, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	if err := writeKey(filepath.Join(dir, name+".key"), key); err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := writeFile(filepath.Join(dir, name+".crt"), b); err != nil {
		return nil, err
	}
	return load(dir, name)
}

// signingKey makes or loads sa.key, and sa.pub for who wants to verify tokens elsewhere.
func (p *PKI) signingKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, "sa.key")
	b, err := readIfThere(path)
	if err != nil {
		return nil, err
	}
	key := parseKey(b)
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make key of service accounts: %w", err)
		}
		if err := writeKey(path, key); err != nil {
			return nil, err
		}
		p.Done = append(p.Done, "sa: made, there was none")
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode key of service accounts: %w", err)
	}
	return key, writeChanged(filepath.Join(dir, "sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// writeChanged writes only if the content differs.
func writeChanged(path string, b []byte) error {
	old, err := readIfThere(path)
	if err != nil || (old != nil && bytes.Equal(old, b)) {
		return err
	}
	return writeFile(path, b)
}

// writeFile replaces path as a whole or not at all, also if the power fails: the bytes are on disk before they get
// the name.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
