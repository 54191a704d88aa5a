package webhook

import (
	"context"
	"fmt"
	"log/slog"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/oldcert"
	"bonsai/pkg/resource"
	"bonsai/pkg/resource/expression"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Config is what webhooks are asked with.
type Config struct {
	// Source is where their configurations come from.
	Source live.Source
	// Get reads namespaces.
	Get admission.Getter
	// Resolve finds where a service's port can be reached, as HOST:PORT.
	Resolve func(ctx context.Context, namespace, name string, port int32) (string, error)
	// Authorizer is what match conditions may ask.
	Authorizer auth.Authorizer
	// Counts is where it is counted what came of asking; nil if nobody wants to know.
	Counts *meter.Set
	// Servers is where the certificates of webhooks are looked at; nil if nobody wants to know.
	Servers *oldcert.Counts
	// Mutating and Validating are how this server proves to the webhooks of either plugin that it is the one that asks; nil for not at all.
	Mutating, Validating *Credentials
	Logger               *slog.Logger
}

// New returns the two plugins.
func New(c Config) (mutating, validating admission.Plugin) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	common := &common{c, newMetrics(c.Counts)}
	m := live.Follow[*admissionv1.MutatingWebhookConfiguration](c.Source, gr("mutatingwebhookconfigurations"))
	v := live.Follow[*admissionv1.ValidatingWebhookConfiguration](c.Source, gr("validatingwebhookconfigurations"))
	return &Mutating{common, derive(m, common.newClients(c.Mutating), mutatingHooks)},
		&Validating{common, derive(v, common.newClients(c.Validating), validatingHooks)}
}

func gr(resource string) schema.GroupResource {
	return schema.GroupResource{Group: admissionv1.GroupName, Resource: resource}
}

type common struct {
	Config
	metrics *metrics
}

// hook is one webhook, ready to be asked.
type hook struct {
	admissionv1.MutatingWebhook // validating ones have a part of its fields
	configuration               string
	// id tells webhooks apart whose names are the same, as they may be in different configurations.
	id         string
	scope      judge.Scope
	conditions judge.Conditions
	client     func() (*client, error)
}

// derive returns a function that returns the hooks of all configurations, each of them made once for each of its versions.
func derive[T resource.Object](kind *live.Kind[T], clients *clients, hooksOf func(T) []admissionv1.MutatingWebhook) func() []*hook {
	var made map[string][]*hook
	return live.Derive(func() []*hook {
		var all []*hook
		next := map[string][]*hook{}
		clients.begin()
		for _, c := range kind.All() {
			key := string(c.GetUID()) + "/" + c.GetResourceVersion()
			hooks, ok := made[key]
			if !ok {
				hooks = newHooks(c.GetName(), hooksOf(c), clients)
			}
			for _, h := range hooks {
				clients.keep(&h.ClientConfig)
			}
			next[key] = hooks
			all = append(all, hooks...)
		}
		clients.drop()
		made = next
		return all
	}, kind)
}

func newHooks(configuration string, specs []admissionv1.MutatingWebhook, clients *clients) []*hook {
	seen := map[string]int{}
	hooks := make([]*hook, len(specs))
	for i := range specs {
		s := &specs[i]
		hooks[i] = &hook{
			MutatingWebhook: *s, configuration: configuration,
			id:         fmt.Sprintf("%s/%s/%d", configuration, s.Name, seen[s.Name]),
			scope:      judge.HookScope(s.Rules, s.MatchPolicy, s.NamespaceSelector, s.ObjectSelector),
			conditions: judge.Compile(expression.New(false), s.MatchConditions, expression.Sees{Authorizer: true}, s.FailurePolicy),
			client:     func() (*client, error) { return clients.get(&s.ClientConfig) },
		}
		seen[s.Name]++
	}
	return hooks
}

func mutatingHooks(c *admissionv1.MutatingWebhookConfiguration) []admissionv1.MutatingWebhook {
	return c.Webhooks
}

func validatingHooks(c *admissionv1.ValidatingWebhookConfiguration) []admissionv1.MutatingWebhook {
	return resource.AsMutating(c.Webhooks)
}

// failsOpen says that the request goes on if the webhook cannot be asked.
func (h *hook) failsOpen() bool {
	return h.FailurePolicy != nil && *h.FailurePolicy == admissionv1.Ignore
}

// wants tells whether the hook is to be asked, and in which form.
func (c *common) wants(ctx context.Context, h *hook, a *admission.Attributes) (admission.Form, bool, error) {
	form, ok, err := h.scope.Find(ctx, a, c.Get)
	if !ok || err != nil {
		return form, false, err
	}
	ok, err = h.conditions.Match(ctx, judge.Input{Attributes: a, Form: form, Authorizer: c.Authorizer}, nil)
	if err != nil {
		c.Logger.Warn("match conditions of a webhook failed", "webhook", h.Name, "error", err)
		return form, false, apierrors.NewForbidden(form.Resource.GroupResource(), a.Name, err)
	}
	return form, ok, nil
}
