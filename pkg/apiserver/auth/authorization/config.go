package authorization

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	api "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"

	"bonsai/pkg/apiserver/configfile"
)

// The types of authorizers.
const (
	Node        = "Node"
	RBAC        = "RBAC"
	AlwaysAllow = "AlwaysAllow"
	AlwaysDeny  = "AlwaysDeny"
	Webhook     = string(api.TypeWebhook)
)

var (
	types = []string{AlwaysAllow, AlwaysDeny, Webhook, RBAC, Node}
	// compiler compiles match conditions.
	compiler = authorizationcel.NewDefaultCompiler
)

// Flags are the --authorization-* flags.
type Flags struct {
	// ConfigFile is an AuthorizationConfiguration; then all others are unset.
	ConfigFile string
	// Modes are types in their order. None are Node and RBAC, and Webhook if there is one.
	Modes []string
	// WebhookKubeconfig names a service; answers of it count for AllowedTTL and RefusedTTL.
	WebhookKubeconfig, WebhookVersion string
	AllowedTTL, RefusedTTL            time.Duration
	// Alone says whether none of the flags besides ConfigFile was given.
	Alone func() bool
}

// Config returns the configuration that the flags come to, and what was read for it.
func (f Flags) Config() (*api.AuthorizationConfiguration, []byte, error) {
	if f.ConfigFile == "" {
		c, err := f.config()
		return c, nil, err
	}
	if f.Alone != nil && !f.Alone() {
		return nil, nil, errors.New("--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined")
	}
	data, err := os.ReadFile(f.ConfigFile)
	if err != nil {
		return nil, nil, fmt.Errorf("authorization: %w", err)
	}
	c, err := parse(f.ConfigFile, data, nil)
	return c, data, err
}

// config is what the flags of old come to.
func (f Flags) config() (*api.AuthorizationConfiguration, error) {
	modes := f.Modes
	if len(modes) == 0 {
		if modes = []string{Node, RBAC}; f.WebhookKubeconfig != "" {
			modes = append(modes, Webhook)
		}
	}
	if err := f.check(modes); err != nil {
		return nil, err
	}
	c := &api.AuthorizationConfiguration{}
	for _, mode := range modes {
		if mode == Webhook {
			c.Authorizers = append(c.Authorizers, f.webhook())
			continue
		}
		c.Authorizers = append(c.Authorizers, api.AuthorizerConfiguration{Type: api.AuthorizerType(mode), Name: strings.ToLower(mode)})
	}
	return c, nil
}

func (f Flags) check(modes []string) error {
	var all []error
	for _, mode := range modes {
		if !slices.Contains(types, mode) {
			all = append(all, fmt.Errorf("authorization-mode %q is not a valid mode", mode))
		}
	}
	hooked := slices.Contains(modes, Webhook)
	if hooked && f.WebhookKubeconfig == "" {
		all = append(all, errors.New("authorization-mode Webhook's authorization config file not passed"))
	}
	if !hooked && f.WebhookKubeconfig != "" {
		all = append(all, errors.New("cannot specify --authorization-webhook-config-file without mode Webhook"))
	}
	if sets.New(modes...).Len() != len(modes) {
		all = append(all, fmt.Errorf("authorization-mode %q has mode specified more than once", modes))
	}
	if hooked && f.WebhookVersion != "v1" && f.WebhookVersion != "v1beta1" {
		all = append(all, fmt.Errorf("there is no version %q of reviews: it is v1 or v1beta1", f.WebhookVersion))
	}
	return utilerrors.NewAggregate(all)
}

// webhook is the one service that flags can name.
func (f Flags) webhook() api.AuthorizerConfiguration {
	return api.AuthorizerConfiguration{Type: api.TypeWebhook, Name: "default", Webhook: &api.WebhookConfiguration{
		AuthorizedTTL: metav1.Duration{Duration: f.AllowedTTL}, CacheAuthorizedRequests: f.AllowedTTL != 0,
		UnauthorizedTTL: metav1.Duration{Duration: f.RefusedTTL}, CacheUnauthorizedRequests: f.RefusedTTL != 0,
		Timeout: metav1.Duration{Duration: 30 * time.Second}, FailurePolicy: api.FailurePolicyNoOpinion,
		SubjectAccessReviewVersion: f.WebhookVersion,
		ConnectionInfo:             api.WebhookConnectionInfo{Type: api.AuthorizationWebhookConnectionInfoTypeKubeConfigFile, KubeConfigFile: &f.WebhookKubeconfig},
	}}
}

// parse reads the configuration that data, the file at path, holds. All types of required have to be in it.
func parse(path string, data []byte, required sets.Set[string]) (*api.AuthorizationConfiguration, error) {
	c, err := configfile.Parse[api.AuthorizationConfiguration](path, data)
	if err != nil {
		return nil, fmt.Errorf("failed to load AuthorizationConfiguration from file: %w", err)
	}
	if errs := validation.ValidateAuthorizationConfiguration(compiler(), nil, c, sets.New(types...), sets.New(Webhook)); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	var all []error
	missing := required.Clone()
	for _, a := range c.Authorizers {
		missing.Delete(string(a.Type))
		if want := strings.ToLower(string(a.Type)); a.Type != api.TypeWebhook && a.Name != want {
			all = append(all, fmt.Errorf("expected name %s for authorizer %s instead of %s", want, a.Type, a.Name))
		}
		if a.Type == api.TypeWebhook && a.Webhook.ConnectionInfo.KubeConfigFile == nil {
			all = append(all, fmt.Errorf("authorizer %s: a connection of type %s is for servers in a pod; name a kubeconfig file", a.Name, a.Webhook.ConnectionInfo.Type))
		}
	}
	if len(missing) > 0 {
		all = append(all, fmt.Errorf("missing required types: %v", sets.List(missing)))
	}
	return c, utilerrors.NewAggregate(all)
}
