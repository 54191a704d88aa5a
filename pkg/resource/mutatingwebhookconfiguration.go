package resource

import (
	"reflect"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func mutatingWebhookConfigurations() *Row {
	return Row{
		Resource: "mutatingwebhookconfigurations", Singular: "mutatingwebhookconfiguration", Kind: "MutatingWebhookConfiguration",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[admissionv1.MutatingWebhookConfiguration, admissionv1.MutatingWebhookConfigurationList](
			admissionv1.SchemeGroupVersion)},
		Prefix:  "mutatingwebhookconfigurations",
		Columns: webhookColumns(),
	}.with(rules(Rules[*admissionv1.MutatingWebhookConfiguration]{
		Default:       defaultMutatingWebhooks,
		PrepareCreate: func(c *admissionv1.MutatingWebhookConfiguration) { c.Generation = 1 },
		PrepareUpdate: func(next, old *admissionv1.MutatingWebhookConfiguration) {
			raiseGeneration(next, old, !reflect.DeepEqual(next.Webhooks, old.Webhooks))
		},
		Validate: func(c *admissionv1.MutatingWebhookConfiguration) field.ErrorList {
			return validateWebhooks(c, c.Webhooks, nil)
		},
		ValidateUpdate: func(next, old *admissionv1.MutatingWebhookConfiguration) field.ErrorList {
			return validateWebhooks(next, next.Webhooks, old.Webhooks)
		},
		Warnings: func(next, _ *admissionv1.MutatingWebhookConfiguration) []string { return staticNameWarnings(next) },
		Cells: func(c *admissionv1.MutatingWebhookConfiguration, now time.Time) []any {
			return []any{c.Name, int64(len(c.Webhooks)), age(c, now)}
		},
	}))
}

func defaultMutatingWebhooks(c *admissionv1.MutatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		orPtr(&w.FailurePolicy, admissionv1.Fail)
		orPtr(&w.MatchPolicy, admissionv1.Equivalent)
		orPtr(&w.NamespaceSelector, metav1.LabelSelector{})
		orPtr(&w.ObjectSelector, metav1.LabelSelector{})
		orPtr(&w.TimeoutSeconds, 10)
		orPtr(&w.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
		defaultWebhookRules(w.ClientConfig.Service, w.Rules)
	}
}

func defaultWebhookRules(service *admissionv1.ServiceReference, rules []admissionv1.RuleWithOperations) {
	if service != nil {
		orPtr(&service.Port, 443)
	}
	for i := range rules {
		defaultRule(&rules[i].Rule)
	}
}
