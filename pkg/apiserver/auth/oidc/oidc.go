// Package oidc recognises the ID tokens of OpenID Connect issuers: the login that people have elsewhere lets them in here.
//
// # The flow
//
// Each issuer is described by upstream's JWTAuthenticator, which comes from an AuthenticationConfiguration or is made of the --oidc-* flags
// (FromFlags). A token is first read without any trust, only to see whose it claims to be. Then it passes, in this order: the
// signature, by the keys that the issuer publishes; issuer, audience and expiry; the mapping of its claims to a user; the required
// claims; the rules in CEL about claims and about the user.
//
// # The guarantees
//
//   - An issuer that cannot be reached stops nothing: its tokens are refused until it can be, which is tried every ten seconds.
//   - Nothing in a token counts before its signature was found good by a key of that very issuer, with an algorithm that was asked for.
//   - Mappings and rules are compiled, checked and worded by upstream's own code, so that what it refuses is refused here.
//
// # Simpler than upstream
//
// Claims that lie with somebody else (distributed claims) are not fetched: such a user has no groups. A claim with a dot in its
// name is claims['a.b'] in CEL; upstream has a second spelling for it.
package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/auth"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

const (
	// retryPeriod is how often an issuer that could not be reached is tried again.
	retryPeriod = 10 * time.Second
	// askTime bounds a question to an issuer.
	askTime = 30 * time.Second
)

// Issuer recognises the tokens of one issuer.
type Issuer struct {
	spec     apiserver.JWTAuthenticator
	mapper   authenticationcel.CELMapper
	verifier atomic.Pointer[gooidc.IDTokenVerifier] // nil until the issuer was reached
	found    chan struct{}                          // closed then
	failure  atomic.Pointer[error]                  // why it was not, the last time
}

// Options are what all issuers have in common.
type Options struct {
	// SigningAlgs are the algorithms that a token may be signed with; none means RS256.
	SigningAlgs []string
	// Now is the clock by which tokens expire.
	Now    func() time.Time
	Logger *slog.Logger
}

// New returns the issuer that spec describes, which is valid and compiled to mapper. It looks for it until it has found it or ctx ends.
func New(ctx context.Context, spec apiserver.JWTAuthenticator, mapper authenticationcel.CELMapper, o Options) (*Issuer, error) {
	client, err := clientOf(spec.Issuer)
	if err != nil {
		return nil, err
	}
	i := &Issuer{spec: spec, mapper: mapper, found: make(chan struct{})}
	algs := o.SigningAlgs
	if len(algs) == 0 {
		algs = []string{gooidc.RS256}
	}
	// The library knows one audience; ours may be several, and are looked at in audience.
	cfg := &gooidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: algs, Now: o.Now}
	go i.find(gooidc.ClientContext(ctx, client), cfg, o.Logger)
	return i, nil
}

// find learns the issuer's keys.
func (i *Issuer) find(ctx context.Context, cfg *gooidc.Config, log *slog.Logger) {
	for {
		provider, err := gooidc.NewProvider(ctx, i.spec.Issuer.URL)
		if err == nil {
			i.verifier.Store(provider.VerifierContext(ctx, cfg))
			close(i.found)
			return
		}
		if ctx.Err() != nil {
			return
		}
		i.failure.Store(&err)
		log.Error("an OpenID Connect issuer cannot be reached; its tokens are refused until then", "issuer", i.spec.Issuer.URL, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPeriod):
		}
	}
}

// Ready says whether the issuer was reached.
func (i *Issuer) Ready() bool { return i.verifier.Load() != nil }

// clientOf returns the client by which an issuer is asked.
func clientOf(issuer apiserver.Issuer) (*http.Client, error) {
	t := net.SetTransportDefaults(&http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}})
	if issuer.CertificateAuthority != "" {
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(issuer.CertificateAuthority)) {
			return nil, fmt.Errorf("oidc: no certificate in the authority of issuer %s", issuer.URL)
		}
	}
	client := &http.Client{Transport: t, Timeout: askTime}
	if issuer.DiscoveryURL != "" {
		client.Transport = elsewhere{RoundTripper: t, from: strings.TrimSuffix(issuer.URL, "/") + wellKnown, to: issuer.DiscoveryURL}
	}
	return client, nil
}

const wellKnown = "/.well-known/openid-configuration"

// elsewhere fetches the issuer's description from another URL than the one that follows from its name.
type elsewhere struct {
	http.RoundTripper
	from, to string
}

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && r.URL.String() == e.from {
		moved, err := http.NewRequestWithContext(r.Context(), http.MethodGet, e.to, nil)
		if err != nil {
			return nil, err
		}
		r = moved
	}
	return e.RoundTripper.RoundTrip(r)
}

// UserOf says who a token is about; nil for a token that claims to be of another issuer.
func (i *Issuer) UserOf(ctx context.Context, token string) (*auth.User, error) {
	if !i.claimedBy(token) {
		return nil, nil
	}
	verifier := i.verifier.Load()
	if verifier == nil {
		return nil, errors.New("oidc: authenticator not initialized")
	}
	id, err := verifier.Verify(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("oidc: verify token: %w", err)
	}
	if err := i.audience(id.Audience); err != nil {
		return nil, fmt.Errorf("oidc: verify token: %w", err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return nil, fmt.Errorf("oidc: parse claims: %w", err)
	}
	return i.user(ctx, c)
}

// claimedBy says whether a token says that it is of this issuer. Nothing that it says is believed yet.
func (i *Issuer) claimedBy(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(payload, &c) == nil && c.Issuer == i.spec.Issuer.URL
}

// audience refuses a token that is for none of the audiences that were asked for.
func (i *Issuer) audience(of []string) error {
	want := i.spec.Issuer.Audiences
	if slices.ContainsFunc(of, func(a string) bool { return slices.Contains(want, a) }) {
		return nil
	}
	if len(want) == 1 {
		return fmt.Errorf("oidc: expected audience %q got %q", want[0], of)
	}
	return fmt.Errorf("oidc: expected audience in %q got %q", slices.Sorted(slices.Values(want)), of)
}
