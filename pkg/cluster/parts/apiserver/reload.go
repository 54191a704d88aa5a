package apiserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"bonsai/pkg/apiserver/configfile"
)

// serverID is the name of this server among those of its cluster, made of the host's as upstream makes it.
func (o *Options) serverID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost" // a name for metrics only
	}
	sum := sha256.Sum256([]byte(host))
	return "apiserver-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// trust is authorities that a file adds to, which may change while the server runs.
type trust struct{ current atomic.Pointer[authorities] }

// authorities are those of one moment; pem is what the file says.
type authorities struct {
	pool *x509.CertPool
	pem  []byte
}

// pool is the authorities now, the same for as long as they are the same.
func (t *trust) pool() *x509.CertPool { return t.current.Load().pool }

// after is the authorities of the file now, behind others, in PEM.
func (t *trust) after(others []byte) []byte {
	return slices.Concat(others, t.current.Load().pem)
}

// authorities returns those of base and of the file at path, which is read again when it has changed until ctx ends; path may be empty.
func (o *Options) authorities(ctx context.Context, what string, base *x509.CertPool, path string) (*trust, error) {
	t := &trust{}
	t.current.Store(&authorities{pool: base})
	if path == "" {
		return t, nil
	}
	use := func(_ context.Context, pem []byte) (bool, error) {
		pool := base.Clone()
		if !pool.AppendCertsFromPEM(pem) {
			return false, fmt.Errorf("there is no certificate in %s", path)
		}
		t.current.Store(&authorities{pool, pem})
		return true, nil
	}
	pem, err := os.ReadFile(path)
	if err == nil {
		_, err = use(ctx, pem)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	f := configfile.Follower{Path: path, Seen: pem, Use: use, What: what, Logger: o.Logger}
	go f.Run(ctx)
	return t, nil
}

// servingCertificate returns the one that clients are shown: that of the data directory, which may be replaced while the server runs. Both
// of its files are followed, as either may come last; until they are of one pair again, the old one is shown.
func (o *Options) servingCertificate(ctx context.Context) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var current atomic.Pointer[tls.Certificate]
	current.Store(&o.PKI.APIServer)
	certificate, key := o.PKI.APIServerFiles()
	use := func(context.Context, []byte) (bool, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return false, configfile.Later{Err: err}
		}
		before := current.Swap(&pair)
		return !bytes.Equal(pair.Certificate[0], before.Certificate[0]), nil
	}
	for what, path := range map[string]string{"serving certificate": certificate, "key of the serving certificate": key} {
		f := configfile.Follower{Path: path, Use: use, What: what, Logger: o.Logger}
		go f.Run(ctx)
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }
}
