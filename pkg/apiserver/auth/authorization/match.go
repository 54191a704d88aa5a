package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	api "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
)

// matcher says about which requests the service of a is asked; nil for all.
func (c *Chain) matcher(a api.AuthorizerConfiguration) (func(context.Context, *authorizationv1.SubjectAccessReview) (bool, error), error) {
	if len(a.Webhook.MatchConditions) == 0 {
		return nil, nil
	}
	m, errs := validation.ValidateAndCompileMatchConditions(compiler(), a.Webhook.MatchConditions)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	m.AuthorizerType, m.AuthorizerName, m.Metrics = Webhook, a.Name, c.metrics
	return m.Eval, nil
}

var _ authorizationcel.MatcherMetrics = (*Metrics)(nil)
