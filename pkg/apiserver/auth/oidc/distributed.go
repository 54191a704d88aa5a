package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// Distributed claims (OpenID Connect Core, 5.6.2). Who is in too many groups for a token has instead of them, in the token, where to ask:
//
//	"_claim_names":   {"groups": "src1"},
//	"_claim_sources": {"src1": {"endpoint": "https://…", "access_token": "…"}}
//
// The answer is a token too, with the claim in it; it has to be signed by the issuer that it names, and be for the same audience.

const (
	// maxClaims bounds the answer of an endpoint.
	maxClaims = 1 << 20
	// maxSources bounds the issuers of such answers.
	maxSources = 64
)

// distributed fetches one claim, for tokens that have it elsewhere.
type distributed struct {
	claim  string
	client *http.Client
	cfg    *gooidc.Config
	ctx    context.Context // for as long as the issuer is one

	mu        sync.Mutex
	verifiers map[string]*gooidc.IDTokenVerifier // by issuer
}

// source is where a claim is.
type source struct {
	Endpoint    string `json:"endpoint"`
	AccessToken string `json:"access_token"`
}

// sourceOf says where the claim is; nothing if it is in the token, or nowhere, or in a form that is not known.
func (d *distributed) sourceOf(c claims) (s source, err error) {
	if _, here := c[d.claim]; here || c["_claim_names"] == nil {
		return s, nil
	}
	var at map[string]string
	if err := c.read("_claim_names", &at); err != nil {
		return s, fmt.Errorf("oidc: error parsing distributed claim names: %w", err)
	}
	if c["_claim_sources"] == nil {
		return s, errors.New("oidc: no claim sources")
	}
	var sources map[string]source
	if err := c.read("_claim_sources", &sources); err != nil {
		return s, fmt.Errorf("oidc: could not parse claim sources: %w", err)
	}
	name, ok := at[d.claim]
	if !ok {
		return s, nil
	}
	if s, ok = sources[name]; !ok {
		return s, fmt.Errorf("id token _claim_names contained a source %s missing in _claims_sources", name)
	}
	return s, nil
}

// expand puts the claim into c if it is elsewhere. The answer has to be for an audience that check lets pass.
func (d *distributed) expand(ctx context.Context, c claims, check func(audience []string) error) error {
	from, err := d.sourceOf(c)
	if from.Endpoint == "" || err != nil {
		return err
	}
	token, err := d.fetch(ctx, from)
	if err != nil {
		return fmt.Errorf("while getting distributed claim %q: %w", d.claim, err)
	}
	issuer, err := untrustedIssuer(token)
	if err != nil {
		return fmt.Errorf("getting untrusted issuer from endpoint %v failed for claim %q: %w", from.Endpoint, d.claim, err)
	}
	verifier, err := d.verifier(issuer)
	if err != nil {
		return fmt.Errorf("verifying untrusted issuer %v failed: %w", issuer, err)
	}
	id, err := verifier.Verify(ctx, token)
	if err == nil {
		err = check(id.Audience)
	}
	if err != nil {
		return fmt.Errorf("verify distributed claim token: %w", err)
	}
	var answer claims
	if err := id.Claims(&answer); err != nil {
		return fmt.Errorf("could not parse distributed claims for claim %v: %w", d.claim, err)
	}
	if answer[d.claim] == nil {
		return fmt.Errorf("jwt returned by distributed claim endpoint %q did not contain claim: %v", from.Endpoint, d.claim)
	}
	c[d.claim] = answer[d.claim]
	return nil
}

// fetch asks the endpoint.
func (d *distributed) fetch(ctx context.Context, from source) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.Endpoint, nil)
	if err != nil {
		return "", fmt.Errorf("while calling %v: %w", from.Endpoint, err)
	}
	if from.AccessToken != "" {
		req.Header.Set("Authorization", "Bearer "+from.AccessToken)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK || resp.StatusCode > http.StatusIMUsed {
		return "", fmt.Errorf("error while getting distributed claim JWT: %v", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxClaims))
	if err != nil {
		return "", errors.New("could not decode distributed claim response")
	}
	return string(b), nil
}

// verifier returns the one of an issuer, which is found when it is first needed.
func (d *distributed) verifier(issuer string) (*gooidc.IDTokenVerifier, error) {
	d.mu.Lock()
	known, many := d.verifiers[issuer], len(d.verifiers) >= maxSources
	d.mu.Unlock()
	if known != nil {
		return known, nil
	}
	if many {
		return nil, errors.New("there are too many issuers of distributed claims")
	}
	p, err := gooidc.NewProvider(d.ctx, issuer)
	if err != nil {
		return nil, fmt.Errorf("verifier not initialized for issuer: %q: %w", issuer, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v := p.VerifierContext(d.ctx, d.cfg)
	d.verifiers[issuer] = v
	return v, nil
}

// untrustedIssuer is who a token says that it is of.
func untrustedIssuer(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("malformed token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("error decoding token: %w", err)
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return "", fmt.Errorf("while unmarshaling token: %w", err)
	}
	return c.Issuer, nil
}
