package apiserver

import (
	"time"

	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/auth/authorization"
	"bonsai/pkg/apiserver/auth/oidc"
)

// Settings are what people may want of an API server besides what makes it a part of its cluster. Each is a flag of upstream's; the
// zero value is what a cluster has that nobody has told anything, but for the caches of webhooks and the names of
// headers, whose defaults are the flags'.
type Settings struct {
	// EncryptionConfig is an EncryptionConfiguration; empty takes the one that was made with the certificates, which encrypts secrets.
	EncryptionConfig string
	// EncryptionReload puts the file to use again when it has changed.
	EncryptionReload bool

	// NoAnonymousAuth turns away who brings no credentials; NoBootstrapTokens who brings a bootstrap token.
	NoAnonymousAuth, NoBootstrapTokens bool
	// ClientCA signs for further clients, besides the cluster's own authority.
	ClientCA string
	// TokenFile holds lines "token,user,uid,groups".
	TokenFile string
	// OIDC is one issuer of tokens; AuthenticationConfig, an AuthenticationConfiguration, describes any number of them instead.
	OIDC                 oidc.Flags
	AuthenticationConfig string
	// TokenWebhook is asked who has a token.
	TokenWebhook TokenWebhook
	// Authorization says who is asked who may do what.
	Authorization authorization.Flags
	// RequestHeaderCA signs for the proxies that are believed who asks.
	RequestHeaderCA string
	RequestHeader   auth.HeaderNames

	// EnableAdmissionPlugins and DisableAdmissionPlugins change the default set, by upstream's names.
	// AdmissionConfig, an AdmissionConfiguration, says more to some of them.
	AdmissionConfig                                 string
	EnableAdmissionPlugins, DisableAdmissionPlugins []string

	// AuditPolicy says what is written down, AuditLog and AuditWebhook (a kubeconfig) where to, and the deliveries how it gets there.
	AuditPolicy                            string
	AuditLog                               audit.LogFile
	AuditWebhook                           string
	AuditLogDelivery, AuditWebhookDelivery audit.Delivery
}

// TokenWebhook is a service that Kubeconfig names; without one there is none.
type TokenWebhook struct {
	Kubeconfig, Version string
	CacheTTL            time.Duration
}
