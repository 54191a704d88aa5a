package apiserver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"

	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/auth/oidc"
	"bonsai/pkg/apiserver/hook"
)

// identity is who the server lets in.
type identity struct {
	authenticator auth.Authenticator
	bearer        *auth.Bearer
}

// identity puts the ways together by which clients prove who they are, in upstream's order. What needs to go on working does until
// ctx ends.
func (o *Options) identity(ctx context.Context, tokens *auth.Tokens, get auth.Getter) (*identity, error) {
	issuers, strangers, err := o.issuers()
	if err != nil {
		return nil, err
	}
	bearer, err := o.bearer(ctx, tokens, get, issuers)
	if err != nil {
		return nil, err
	}
	clients := o.PKI.Pool.Clone()
	if o.ClientCA != "" {
		if err := addTo(clients, o.ClientCA); err != nil {
			return nil, fmt.Errorf("client authority: %w", err)
		}
	}
	ways := []auth.Authenticator{auth.NewX509(clients, time.Now), bearer}
	if o.RequestHeaderCA != "" {
		roots := x509.NewCertPool()
		if err := addTo(roots, o.RequestHeaderCA); err != nil {
			return nil, fmt.Errorf("request header authority: %w", err)
		}
		ways = slices.Insert(ways, 0, auth.Authenticator(auth.NewRequestHeader(roots, o.RequestHeader, time.Now)))
	}
	return &identity{auth.NewAuthenticator(strangers, ways...), bearer}, nil
}

// addTo adds the certificates in the file at path to pool.
func addTo(pool *x509.CertPool, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(b) {
		return fmt.Errorf("there is no certificate in %s", path)
	}
	return nil
}

// issuers are those of OpenID Connect, and who is let in without any credentials.
func (o *Options) issuers() ([]apiserver.JWTAuthenticator, auth.Strangers, error) {
	strangers := auth.Strangers{Anywhere: !o.NoAnonymousAuth}
	one, err := o.OIDC.Config()
	if err != nil || o.AuthenticationConfig == "" {
		if one == nil {
			return nil, strangers, err
		}
		return []apiserver.JWTAuthenticator{*one}, strangers, err
	}
	if one != nil {
		return nil, strangers, errors.New("authentication-config file and oidc-* flags are mutually exclusive")
	}
	c, err := oidc.Read(o.AuthenticationConfig, auth.Issuer)
	if err != nil {
		return nil, strangers, err
	}
	if c.Anonymous == nil {
		return c.JWT, strangers, nil
	}
	if o.NoAnonymousAuth {
		return nil, strangers, errors.New("--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file")
	}
	strangers = auth.Strangers{Anywhere: c.Anonymous.Enabled && len(c.Anonymous.Conditions) == 0}
	for _, condition := range c.Anonymous.Conditions {
		strangers.Paths = append(strangers.Paths, condition.Path)
	}
	return c.JWT, strangers, nil
}

// bearer lists who knows tokens, in upstream's order.
func (o *Options) bearer(ctx context.Context, tokens *auth.Tokens, get auth.Getter, issuers []apiserver.JWTAuthenticator) (*auth.Bearer, error) {
	b := &auth.Bearer{Audiences: tokens.Audiences()}
	if o.TokenFile != "" {
		file, err := auth.NewTokenFile(o.TokenFile, b.Audiences)
		if err != nil {
			return nil, err
		}
		b.Recognisers = append(b.Recognisers, file)
	}
	b.Recognisers = append(b.Recognisers, tokens)
	if !o.NoBootstrapTokens {
		b.Recognisers = append(b.Recognisers, auth.NewBootstrapTokens(get, b.Audiences, time.Now))
	}
	others, err := oidc.Recognisers(ctx, issuers, b.Audiences, []string{auth.Issuer},
		oidc.Options{SigningAlgs: o.OIDC.SigningAlgs, Now: time.Now, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	b.Recognisers = append(b.Recognisers, others...)
	if w := o.TokenWebhook; w.Kubeconfig != "" {
		client, err := callee(w.Kubeconfig, w.Version)
		if err != nil {
			return nil, fmt.Errorf("token webhook: %w", err)
		}
		b.Recognisers = append(b.Recognisers, auth.NewTokenWebhook(client.Call, w.Version, b.Audiences, w.CacheTTL, time.Now))
	}
	return b, nil
}

// callee is the service that a kubeconfig names, to be asked by reviews of a version.
func callee(kubeconfig, version string) (*hook.Client, error) {
	if version != "v1" && version != "v1beta1" {
		return nil, fmt.Errorf("there is no version %q of reviews: it is v1 or v1beta1", version)
	}
	return hook.New(kubeconfig)
}

// authorizers are the cluster's, and last the webhook's.
func (o *Options) authorizers(own auth.Authorizers) (auth.Authorizers, error) {
	w := o.AccessWebhook
	if w.Kubeconfig == "" {
		return own, nil
	}
	client, err := callee(w.Kubeconfig, w.Version)
	if err != nil {
		return nil, fmt.Errorf("authorization webhook: %w", err)
	}
	return append(own, auth.Named{Name: "default", Authorizer: auth.NewAccessWebhook(client.Call, w.Version, w.AllowedTTL, w.ForbiddenTTL, time.Now)}), nil
}

// audit returns what writes down who did what; nil if nobody has asked for that. stop is called after the last request, and returns
// when all is written.
func (o *Options) audit(ctx context.Context) (a *audit.Auditor, stop func(), err error) {
	stop = func() {}
	somewhere := o.AuditLog.Path != "" || o.AuditWebhook != ""
	if o.AuditPolicy == "" || !somewhere {
		if somewhere {
			o.Logger.Warn("nothing is written to the audit log: no audit policy file was named")
		}
		return nil, stop, nil
	}
	policy, err := audit.LoadPolicy(o.AuditPolicy)
	if err != nil {
		return nil, stop, err
	}
	a = &audit.Auditor{Policy: policy, Now: time.Now, Logger: o.Logger}
	if o.AuditLog.Path != "" {
		a.Sinks = append(a.Sinks, audit.NewLog(o.AuditLog, os.Stdout, o.Logger))
	}
	if o.AuditWebhook == "" {
		return a, stop, nil
	}
	client, err := hook.New(o.AuditWebhook)
	if err != nil {
		return nil, stop, fmt.Errorf("audit webhook: %w", err)
	}
	w := audit.NewWebhook(client.Call, o.Logger)
	a.Sinks = append(a.Sinks, w)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	finished := make(chan struct{})
	go func() { defer close(finished); w.Run(ctx) }()
	return a, func() { cancel(); <-finished }, nil
}
