package oidc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/configfile"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// Flags are the --oidc-* flags of one issuer.
type Flags struct {
	IssuerURL, ClientID, CAFile   string
	UsernameClaim, UsernamePrefix string
	GroupsClaim, GroupsPrefix     string
	SigningAlgs                   []string
	RequiredClaims                map[string]string
}

// signingAlgs are the algorithms that need no secret shared with the issuer.
var signingAlgs = []string{gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.PS256, gooidc.PS384, gooidc.PS512}

// Read returns the configuration in the file at path, which is valid, and the file.
func Read(path string, disallowed ...string) (c *apiserver.AuthenticationConfiguration, data []byte, err error) {
	if data, err = os.ReadFile(path); err != nil {
		return nil, nil, fmt.Errorf("authentication: %w", err)
	}
	c, err = parse(path, data, disallowed)
	return c, data, err
}

func parse(path string, data []byte, disallowed []string) (*apiserver.AuthenticationConfiguration, error) {
	c, err := configfile.Parse[apiserver.AuthenticationConfiguration](path, data)
	if err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	if errs := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), c, disallowed); len(errs) > 0 {
		return nil, fmt.Errorf("authentication: %s: %w", path, errs.ToAggregate())
	}
	return c, nil
}

// Config is the flags as a configuration of one issuer; nil if they name none.
func (f Flags) Config() (*apiserver.JWTAuthenticator, error) {
	switch {
	case f.IssuerURL == "" && f.ClientID == "":
		return nil, nil
	case f.IssuerURL == "" || f.ClientID == "":
		return nil, errors.New("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")
	}
	for _, alg := range f.SigningAlgs {
		if !slices.Contains(signingAlgs, alg) {
			return nil, fmt.Errorf("oidc: unsupported signing alg: %q", alg)
		}
	}
	spec := &apiserver.JWTAuthenticator{Issuer: apiserver.Issuer{URL: f.IssuerURL, Audiences: []string{f.ClientID}}}
	if f.CAFile != "" {
		ca, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, fmt.Errorf("oidc: %w", err)
		}
		spec.Issuer.CertificateAuthority = string(ca)
	}
	prefix := f.UsernamePrefix
	switch {
	case prefix == "-":
		prefix = ""
	case prefix == "" && f.UsernameClaim != "email":
		prefix = f.IssuerURL + "#" // what is unique to an issuer must not collide with the users of another
	}
	spec.ClaimMappings.Username = apiserver.PrefixedClaimOrExpression{Claim: f.UsernameClaim, Prefix: &prefix}
	if f.GroupsClaim != "" {
		spec.ClaimMappings.Groups = apiserver.PrefixedClaimOrExpression{Claim: f.GroupsClaim, Prefix: &f.GroupsPrefix}
	}
	for claim, value := range f.RequiredClaims {
		spec.ClaimValidationRules = append(spec.ClaimValidationRules, apiserver.ClaimValidationRule{Claim: claim, RequiredValue: value})
	}
	return spec, nil
}

// compile makes the issuers that specs describe, which are looked for until ctx ends.
func (a *Issuers) compile(ctx context.Context, specs []apiserver.JWTAuthenticator) (*issuers, error) {
	all := &issuers{}
	compiler := authenticationcel.NewDefaultCompiler()
	for _, spec := range specs {
		mapper, errs := validation.CompileAndValidateJWTAuthenticator(compiler, spec, a.disallowed)
		if len(errs) > 0 {
			return nil, fmt.Errorf("authentication: issuer %s: %w", spec.Issuer.URL, withoutPath(errs).ToAggregate())
		}
		i, err := New(ctx, spec, mapper, a.options)
		if err != nil {
			return nil, err
		}
		all.list = append(all.list, i)
		all.recognisers = append(all.recognisers, auth.ForServer(a.audiences, i.UserOf, a.options.Now))
	}
	return all, nil
}

// withoutPath takes the dot off that paths begin with if nothing is around what they are in.
func withoutPath(errs field.ErrorList) field.ErrorList {
	for _, e := range errs {
		e.Field = strings.TrimPrefix(e.Field, ".")
	}
	return errs
}
