package authorization

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	api "k8s.io/apiserver/pkg/apis/apiserver"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/configfile"
	"bonsai/pkg/apiserver/hook"
)

// Chain is the authorizers of a configuration, which may be replaced while it is asked.
type Chain struct {
	own      map[string]auth.Authorizer // those that read the cluster's objects, by their types
	required sets.Set[string]
	current  atomic.Pointer[auth.Authorizers]
	metrics  *Metrics
	log      *slog.Logger

	path   string
	read   []byte
	config *api.AuthorizationConfiguration
}

// New returns the chain that flags describe. Node and rbac are asked if they are configured.
func New(f Flags, node, rbac auth.Authorizer, m *Metrics, log *slog.Logger) (*Chain, error) {
	config, read, err := f.Config()
	if err != nil {
		return nil, err
	}
	c := &Chain{own: map[string]auth.Authorizer{AlwaysAllow: always(auth.Allow), AlwaysDeny: always(auth.NoOpinion)},
		required: sets.New[string](), metrics: m, log: log, path: f.ConfigFile, read: bytes.Clone(read), config: config}
	for _, a := range config.Authorizers {
		switch string(a.Type) {
		case Node:
			c.own[Node] = node
		case RBAC:
			c.own[RBAC] = rbac
		}
		if a.Type != api.TypeWebhook {
			c.required.Insert(string(a.Type))
		}
	}
	as, err := c.authorizers(config)
	if err != nil {
		return nil, err
	}
	c.current.Store(&as)
	return c, nil
}

// Authorize implements auth.Authorizer.
func (c *Chain) Authorize(ctx context.Context, r auth.Request) (auth.Decision, string, error) {
	return c.current.Load().Authorize(ctx, r)
}

// RulesFor implements auth.RuleLister.
func (c *Chain) RulesFor(u auth.User, namespace string) ([]rbacv1.PolicyRule, bool, error) {
	return c.current.Load().RulesFor(u, namespace)
}

// Follow puts the file to use again whenever it has changed, until ctx ends. Without a file it returns at once.
func (c *Chain) Follow(ctx context.Context) {
	if c.path == "" {
		return
	}
	f := configfile.Follower{Path: c.path, Seen: c.read, Use: c.use, What: "authorization configuration", Logger: c.log, Counts: c.metrics.reloads}
	f.Run(ctx)
}

func (c *Chain) use(_ context.Context, data []byte) (bool, error) {
	config, err := parse(c.path, data, c.required)
	if err != nil || equality.Semantic.DeepEqual(config, c.config) {
		return false, err
	}
	as, err := c.authorizers(config)
	if err != nil {
		return false, err
	}
	c.config = config
	c.current.Store(&as)
	return true, nil
}

// authorizers makes those of a configuration.
func (c *Chain) authorizers(config *api.AuthorizationConfiguration) (auth.Authorizers, error) {
	out := auth.Authorizers{auth.Superuser}
	for _, a := range config.Authorizers {
		one, known := c.own[string(a.Type)]
		if a.Type == api.TypeWebhook {
			var err error
			if one, err = c.webhook(a); err != nil {
				return nil, fmt.Errorf("authorizer %s: %w", a.Name, err)
			}
		} else if !known {
			return nil, fmt.Errorf("authorizer type %s is not allowed if it was not enabled at initial server startup", a.Type)
		}
		out = append(out, auth.Named{Name: a.Name, Authorizer: c.metrics.counted(a, one)})
	}
	return out, nil
}

// webhook makes the authorizer that asks a service. The configuration is valid.
func (c *Chain) webhook(a api.AuthorizerConfiguration) (auth.Authorizer, error) {
	client, err := hook.NewWithin(*a.Webhook.ConnectionInfo.KubeConfigFile, a.Webhook.Timeout.Duration)
	if err != nil {
		return nil, err
	}
	client.Servers = c.metrics.Servers
	allowed, refused := a.Webhook.AuthorizedTTL.Duration, a.Webhook.UnauthorizedTTL.Duration
	if !a.Webhook.CacheAuthorizedRequests {
		allowed = 0
	}
	if !a.Webhook.CacheUnauthorizedRequests {
		refused = 0
	}
	w := auth.NewAccessWebhook(client.Call, a.Webhook.SubjectAccessReviewVersion, allowed, refused, time.Now)
	if a.Webhook.FailurePolicy == api.FailurePolicyDeny {
		w.OnError = auth.Deny
	}
	w.Asked = c.metrics.asked(a.Name, w.OnError)
	w.Matches, err = c.matcher(a)
	return w, err
}

// always gives one answer to everything.
type always auth.Decision

// Authorize implements auth.Authorizer.
func (a always) Authorize(context.Context, auth.Request) (auth.Decision, string, error) {
	if auth.Decision(a) == auth.Allow {
		return auth.Allow, "", nil
	}
	return auth.NoOpinion, "Everything is forbidden.", nil
}

// RulesFor implements auth.RuleLister.
func (a always) RulesFor(auth.User, string) ([]rbacv1.PolicyRule, bool, error) {
	if auth.Decision(a) != auth.Allow {
		return nil, false, nil
	}
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}, false, nil
}
