package apiserver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/auth/oidc"
	"bonsai/pkg/apiserver/configfile"
	"bonsai/pkg/apiserver/hook"
)

// identity is who the server lets in.
type identity struct {
	authenticator auth.Authenticator
	bearer        *auth.Bearer
	// clients sign for clients, proxies for front proxies; proxies is nil if there are none.
	clients, proxies *trust
}

// identity puts the ways together by which clients prove who they are, in upstream's order. What needs to go on working does until
// ctx ends.
func (o *Options) identity(ctx context.Context, tokens *auth.Tokens, get auth.Getter) (*identity, error) {
	issuers, strangers, err := o.issuers(ctx, tokens.Audiences())
	if err != nil {
		return nil, err
	}
	counts := auth.NewMetrics(o.counts)
	tokens.Counts = counts
	bearer, err := o.bearer(tokens, get, issuers)
	if err != nil {
		return nil, err
	}
	clients, err := o.authorities(ctx, "client authority", o.PKI.Pool, o.ClientCA)
	if err != nil {
		return nil, err
	}
	who := &identity{bearer: bearer, clients: clients}
	ways := []auth.Authenticator{auth.NewCountedX509(clients.pool, time.Now, counts), bearer}
	if o.RequestHeaderCA != "" {
		who.proxies, err = o.authorities(ctx, "request header authority", x509.NewCertPool(), o.RequestHeaderCA)
		if err != nil {
			return nil, err
		}
		ways = slices.Insert(ways, 0, auth.Authenticator(auth.NewRequestHeader(who.proxies.pool, o.RequestHeader, time.Now)))
	}
	who.authenticator = auth.NewAuthenticator(strangers, ways...)
	return who, nil
}

// issuers are those of OpenID Connect, and who is let in without any credentials.
func (o *Options) issuers(ctx context.Context, audiences []string) (*oidc.Issuers, auth.Strangers, error) {
	strangers := auth.Strangers{Anywhere: !o.NoAnonymousAuth}
	if strangers.Anywhere && slices.Contains(o.Authorization.Modes, "AlwaysAllow") {
		o.Logger.Warn("who brings no credentials is not let in, since --authorization-mode=AlwaysAllow would let them do anything")
		strangers.Anywhere = false
	}
	options := oidc.Options{SigningAlgs: o.OIDC.SigningAlgs, Now: time.Now, Logger: o.Logger}
	one, err := o.OIDC.Config()
	if err != nil {
		return nil, strangers, err
	}
	var config apiserver.AuthenticationConfiguration
	if one != nil {
		config.JWT = []apiserver.JWTAuthenticator{*one}
	}
	if o.AuthenticationConfig == "" {
		all, err := oidc.NewIssuers(ctx, config.JWT, audiences, []string{auth.Issuer}, options)
		return all, strangers, err
	}
	if one != nil {
		return nil, strangers, errors.New("authentication-config file and oidc-* flags are mutually exclusive")
	}
	c, data, err := oidc.Read(o.AuthenticationConfig, auth.Issuer)
	if err != nil {
		return nil, strangers, err
	}
	all, err := oidc.NewIssuers(ctx, c.JWT, audiences, []string{auth.Issuer}, options)
	if err != nil {
		return nil, strangers, err
	}
	go all.Follow(ctx, o.AuthenticationConfig, c, data, configfile.NewReloads(o.counts, "authentication_config_controller", o.serverID()))
	if c.Anonymous == nil {
		return all, strangers, nil
	}
	if o.NoAnonymousAuth {
		return nil, strangers, errors.New("anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file")
	}
	strangers = auth.Strangers{Anywhere: c.Anonymous.Enabled && len(c.Anonymous.Conditions) == 0}
	for _, condition := range c.Anonymous.Conditions {
		strangers.Paths = append(strangers.Paths, condition.Path)
	}
	return all, strangers, nil
}

// bearer lists who knows tokens, in upstream's order.
func (o *Options) bearer(tokens *auth.Tokens, get auth.Getter, issuers *oidc.Issuers) (*auth.Bearer, error) {
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
	b.Recognisers = append(b.Recognisers, issuers)
	if w := o.TokenWebhook; w.Kubeconfig != "" {
		client, err := callee(w.Kubeconfig, w.Version)
		if err != nil {
			return nil, fmt.Errorf("token webhook: %w", err)
		}
		client.Servers = o.webhooks
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
