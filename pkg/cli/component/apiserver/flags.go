package apiserver

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth/authorization"
	"bonsai/pkg/cluster/parts/apiserver"
)

// settingFlags are upstream's flags of what people may want of an API server.
func settingFlags(f *pflag.FlagSet, s *apiserver.Settings) {
	authenticationFlags(f, s)
	oidcFlags(f, s)
	headerFlags(f, s)
	auditFlags(f, s)
	f.StringSliceVar(&s.EnableAdmissionPlugins, "enable-admission-plugins", nil, "admission plugins to run besides those that are on by default")
	f.StringSliceVar(&s.DisableAdmissionPlugins, "disable-admission-plugins", nil, "admission plugins not to run though they are on by default")
	f.StringVar(&s.AdmissionConfig, "admission-control-config-file", "", "file of an AdmissionConfiguration, which configures admission plugins")
	f.StringVar(&s.EncryptionConfig, "encryption-provider-config", "",
		"file of the configuration by which objects are encrypted in etcd (default DATA-DIR/encryption.yaml, which encrypts secrets)")
	f.BoolVar(&s.EncryptionReload, "encryption-provider-config-automatic-reload", false, "put that file to use again when it has changed")
	authorizationFlags(f, &s.Authorization)
}

func authorizationFlags(f *pflag.FlagSet, a *authorization.Flags) {
	f.StringVar(&a.ConfigFile, "authorization-config", "", "file of an AuthorizationConfiguration; not together with --authorization-mode and --authorization-webhook-* flags")
	f.StringSliceVar(&a.Modes, "authorization-mode", nil,
		"who is asked whether a request may be made, in this order: AlwaysAllow, AlwaysDeny, Webhook, RBAC, Node (default Node,RBAC, and Webhook if there is one)")
	f.StringVar(&a.WebhookKubeconfig, "authorization-webhook-config-file", "", "kubeconfig of a service that is asked whether a request may be made")
	f.StringVar(&a.WebhookVersion, "authorization-webhook-version", "v1", "version of the SubjectAccessReviews that are sent to it: v1 or v1beta1")
	f.DurationVar(&a.AllowedTTL, "authorization-webhook-cache-authorized-ttl", 5*time.Minute, "how long what it allowed is allowed without asking again")
	f.DurationVar(&a.RefusedTTL, "authorization-webhook-cache-unauthorized-ttl", 30*time.Second, "how long what it did not allow is refused without asking again")
	a.Alone = func() bool {
		for _, name := range []string{"mode", "webhook-config-file", "webhook-version", "webhook-cache-authorized-ttl", "webhook-cache-unauthorized-ttl"} {
			if f.Changed("authorization-" + name) {
				return false
			}
		}
		return true
	}
}

func authenticationFlags(f *pflag.FlagSet, s *apiserver.Settings) {
	f.Var(not{&s.NoAnonymousAuth}, "anonymous-auth", "let in, as system:anonymous, who brings no credentials")
	f.Var(not{&s.NoBootstrapTokens}, "enable-bootstrap-token-auth", "let in who brings a token of a secret of type bootstrap.kubernetes.io/token in kube-system")
	for _, name := range []string{"anonymous-auth", "enable-bootstrap-token-auth"} {
		f.Lookup(name).NoOptDefVal = "true"
	}
	f.StringVar(&s.ClientCA, "client-ca-file", "", "file of further authorities, besides the cluster's own, whose certificates let clients in")
	f.StringVar(&s.TokenFile, "token-auth-file", "", "file of lines \"token,user,uid,groups\", by which these users are let in")
	f.StringVar(&s.AuthenticationConfig, "authentication-config", "", "file of an AuthenticationConfiguration; not together with --oidc-* flags")
	w := &s.TokenWebhook
	f.StringVar(&w.Kubeconfig, "authentication-token-webhook-config-file", "", "kubeconfig of a service that is asked about tokens that nobody here knows")
	f.StringVar(&w.Version, "authentication-token-webhook-version", "v1", "version of the TokenReviews that are sent to it: v1 or v1beta1")
	f.DurationVar(&w.CacheTTL, "authentication-token-webhook-cache-ttl", 2*time.Minute, "how long its answers count")
}

func oidcFlags(f *pflag.FlagSet, s *apiserver.Settings) {
	o := &s.OIDC
	f.StringVar(&o.IssuerURL, "oidc-issuer-url", "", "URL of an OpenID Connect issuer whose ID tokens let people in; only https")
	f.StringVar(&o.ClientID, "oidc-client-id", "", "client id that its tokens must be for")
	f.StringVar(&o.CAFile, "oidc-ca-file", "", "file of the authorities that its certificate may be of (default the host's)")
	f.StringVar(&o.UsernameClaim, "oidc-username-claim", "sub", "claim that is the name of the user")
	f.StringVar(&o.UsernamePrefix, "oidc-username-prefix", "",
		"what is put before names, lest they are those of others; \"-\" for nothing (default the issuer's URL and '#', or nothing for the claim email)")
	f.StringVar(&o.GroupsClaim, "oidc-groups-claim", "", "claim that is the user's groups, a string or a list of strings")
	f.StringVar(&o.GroupsPrefix, "oidc-groups-prefix", "", "what is put before groups")
	f.StringSliceVar(&o.SigningAlgs, "oidc-signing-algs", []string{"RS256"}, "algorithms that tokens may be signed by")
	f.StringToStringVar(&o.RequiredClaims, "oidc-required-claim", nil, "claim=value that a token must have; may be repeated")
}

func headerFlags(f *pflag.FlagSet, s *apiserver.Settings) {
	h := &s.RequestHeader
	f.StringVar(&s.RequestHeaderCA, "requestheader-client-ca-file", "", "file of the authorities of proxies that are believed who asks")
	f.StringSliceVar(&h.AllowedNames, "requestheader-allowed-names", nil, "common names that such a proxy's certificate may have (default any)")
	f.StringSliceVar(&h.User, "requestheader-username-headers", []string{"X-Remote-User"}, "headers in which it says the name of the user")
	f.StringSliceVar(&h.UID, "requestheader-uid-headers", []string{"X-Remote-Uid"}, "headers in which it says the user's UID")
	f.StringSliceVar(&h.Group, "requestheader-group-headers", []string{"X-Remote-Group"}, "headers in which it says the user's groups")
	f.StringSliceVar(&h.ExtraPrefixes, "requestheader-extra-headers-prefix", []string{"X-Remote-Extra-"}, "what headers begin with in which it says more")
}

func auditFlags(f *pflag.FlagSet, s *apiserver.Settings) {
	l := &s.AuditLog
	f.StringVar(&s.AuditPolicy, "audit-policy-file", "", "file of the Policy that says which requests are written down; without one none is")
	f.StringVar(&l.Path, "audit-log-path", "", "file to write them to, as lines of JSON; \"-\" is the standard output")
	f.IntVar(&l.MaxAge, "audit-log-maxage", 366, "days after which a file that was rotated is deleted; 0 for never")
	f.IntVar(&l.MaxBackups, "audit-log-maxbackup", 100, "number of rotated files to keep; 0 for all")
	f.IntVar(&l.MaxSize, "audit-log-maxsize", 100, "megabytes after which the file is rotated")
	f.BoolVar(&l.Compress, "audit-log-compress", false, "compress files that were rotated")
	f.StringVar(&s.AuditWebhook, "audit-webhook-config-file", "", "kubeconfig of a service to send them to")
	s.AuditLogDelivery = audit.Delivery{Mode: audit.Blocking, BatchMost: 1}
	deliveryFlags(f, "log", &s.AuditLogDelivery)
	s.AuditWebhookDelivery = audit.Delivery{Mode: audit.Batch, BatchMost: 400, Wait: 30 * time.Second, Throttle: true, QPS: 10, Burst: 15}
	deliveryFlags(f, "webhook", &s.AuditWebhookDelivery)
}

// deliveryFlags are those of one backend of the audit. Its defaults are in d, but for those that all have.
func deliveryFlags(f *pflag.FlagSet, backend string, d *audit.Delivery) {
	prefix := "audit-" + backend + "-"
	f.StringVar(&d.Mode, prefix+"mode", d.Mode, "batch: requests do not wait, and events may be lost; blocking: they do; blocking-strict: those fail that cannot be written down")
	f.IntVar(&d.Buffer, prefix+"batch-buffer-size", 10000, "in mode batch, how many events may wait; what comes then is lost")
	f.IntVar(&d.BatchMost, prefix+"batch-max-size", d.BatchMost, "in mode batch, how many events are sent at once")
	f.DurationVar(&d.Wait, prefix+"batch-max-wait", d.Wait, "in mode batch, how long an event may wait for others")
	f.BoolVar(&d.Throttle, prefix+"batch-throttle-enable", d.Throttle, "in mode batch, whether batches are sent at a limited rate")
	f.Float32Var(&d.QPS, prefix+"batch-throttle-qps", d.QPS, "batches per second")
	f.IntVar(&d.Burst, prefix+"batch-throttle-burst", d.Burst, "batches that may go at once if there were few before")
	f.BoolVar(&d.Truncate, prefix+"truncate-enabled", false, "bound what is sent by the two sizes below")
	f.Int64Var(&d.MaxEvent, prefix+"truncate-max-event-size", 100<<10, "bytes; an event that is larger loses the objects of request and answer, and is lost if it still is")
	f.Int64Var(&d.MaxBatch, prefix+"truncate-max-batch-size", 10<<20, "bytes; a batch that is larger becomes several")
}

// not is a flag that is on when its variable is off.
type not struct{ off *bool }

func (n not) String() string {
	if n.off == nil {
		return "true"
	}
	return fmt.Sprint(!*n.off)
}

func (n not) Set(text string) error {
	switch text {
	case "true", "1", "t":
		*n.off = false
	case "false", "0", "f":
		*n.off = true
	default:
		return fmt.Errorf("%q is neither true nor false", text)
	}
	return nil
}

func (n not) Type() string { return "bool" }

// ParseSettings reads settings from the arguments that another command was given for the API server: flags with their dashes or
// without, each with its value, as "audit-log-path=/var/log/audit". It returns them as this command takes them.
func ParseSettings(args []string) (apiserver.Settings, []string, error) {
	var s apiserver.Settings
	f := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	settingFlags(f, &s)
	flags := make([]string, len(args))
	for i, a := range args {
		flags[i] = "--" + strings.TrimLeft(a, "-")
	}
	if err := f.Parse(flags); err != nil {
		return s, nil, fmt.Errorf("settings of the API server: %w; `bonsai apiserver --help` lists them", err)
	}
	if rest := f.Args(); len(rest) > 0 {
		return s, nil, fmt.Errorf("settings of the API server: %q is no flag", rest[0])
	}
	return s, flags, nil
}
