package authorization

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	rbacv1 "k8s.io/api/rbac/v1"
	api "k8s.io/apiserver/pkg/apis/apiserver"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/configfile"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/oldcert"
)

// Metrics are upstream's, of the authorizers.
type Metrics struct {
	// Servers is where the certificates of webhooks are looked at; nil if nobody wants to know.
	Servers *oldcert.Counts

	decisions                  *prometheus.CounterVec
	calls, openings            *prometheus.CounterVec
	callTime                   *prometheus.HistogramVec
	conditionTime              *prometheus.HistogramVec
	conditionErrors, exclusion *prometheus.CounterVec
	reloads                    *configfile.Reloads
}

// NewMetrics makes them in set, for the server of that name.
func NewMetrics(set *meter.Set, serverID string) *Metrics {
	const prefix = "apiserver_authorization_"
	return &Metrics{
		decisions: set.Counter(prefix+"decisions_total", "Decisions by who made them.", "type", "name", "decision"),
		calls:     set.Counter(prefix+"webhook_evaluations_total", "Questions to webhooks by how they went.", "name", "result"),
		openings:  set.Counter(prefix+"webhook_evaluations_fail_open_total", "Questions to webhooks whose failure was no opinion.", "name", "result"),
		callTime:  set.Histogram(prefix+"webhook_duration_seconds", "Time of questions to webhooks.", prometheus.DefBuckets, "name", "result"),
		conditionTime: set.Histogram(prefix+"match_condition_evaluation_seconds", "Time of match conditions.",
			[]float64{0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25}, "type", "name"),
		conditionErrors: set.Counter(prefix+"match_condition_evaluation_errors_total", "Match conditions that could not be evaluated.", "type", "name"),
		exclusion:       set.Counter(prefix+"match_condition_exclusions_total", "Requests about which a webhook was not asked.", "type", "name"),
		reloads:         configfile.NewReloads(set, "authorization_config_controller", serverID),
	}
}

// counter counts the decisions of an authorizer. That it has none is not counted.
type counter struct {
	auth.Authorizer
	allowed, denied prometheus.Counter
}

// Authorize implements auth.Authorizer.
func (c *counter) Authorize(ctx context.Context, r auth.Request) (auth.Decision, string, error) {
	d, reason, err := c.Authorizer.Authorize(ctx, r)
	switch d {
	case auth.Allow:
		c.allowed.Inc()
	case auth.Deny:
		c.denied.Inc()
	}
	return d, reason, err
}

// RulesFor implements auth.RuleLister, as far as the authorizer does.
func (c *counter) RulesFor(u auth.User, namespace string) ([]rbacv1.PolicyRule, bool, error) {
	if lister, ok := c.Authorizer.(auth.RuleLister); ok {
		return lister.RulesFor(u, namespace)
	}
	return nil, false, nil
}

func (m *Metrics) counted(a api.AuthorizerConfiguration, by auth.Authorizer) auth.Authorizer {
	return &counter{by, m.decisions.WithLabelValues(string(a.Type), a.Name, "allowed"), m.decisions.WithLabelValues(string(a.Type), a.Name, "denied")}
}

// asked returns what counts the calls of the webhook of that name.
func (m *Metrics) asked(name string, onError auth.Decision) func(context.Context, time.Duration, error) {
	return func(ctx context.Context, took time.Duration, err error) {
		result := outcome(ctx, err)
		m.calls.WithLabelValues(name, result).Inc()
		m.callTime.WithLabelValues(name, result).Observe(took.Seconds())
		if err != nil && onError == auth.NoOpinion && ctx.Err() == nil {
			m.openings.WithLabelValues(name, result).Inc()
		}
	}
}

func outcome(ctx context.Context, err error) string {
	var timeout net.Error
	switch {
	case err == nil:
		return "success"
	case ctx.Err() != nil:
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "error"
}

// RecordAuthorizationMatchConditionEvaluation is called by the matcher.
func (m *Metrics) RecordAuthorizationMatchConditionEvaluation(_ context.Context, kind, name string, took time.Duration) {
	m.conditionTime.WithLabelValues(kind, name).Observe(took.Seconds())
}

// RecordAuthorizationMatchConditionEvaluationFailure is called by the matcher.
func (m *Metrics) RecordAuthorizationMatchConditionEvaluationFailure(_ context.Context, kind, name string) {
	m.conditionErrors.WithLabelValues(kind, name).Inc()
}

// RecordAuthorizationMatchConditionExclusion is called by the matcher.
func (m *Metrics) RecordAuthorizationMatchConditionExclusion(_ context.Context, kind, name string) {
	m.exclusion.WithLabelValues(kind, name).Inc()
}
