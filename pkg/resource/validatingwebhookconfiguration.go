package resource

import (
	"reflect"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatingWebhookConfigurations() *Row {
	return Row{
		Resource: "validatingwebhookconfigurations", Singular: "validatingwebhookconfiguration", Kind: "ValidatingWebhookConfiguration",
		Categories: []string{"api-extensions"},
		Versions: []Version{servedAs[admissionv1.ValidatingWebhookConfiguration, admissionv1.ValidatingWebhookConfigurationList](
			admissionv1.SchemeGroupVersion)},
		Prefix:  "validatingwebhookconfigurations",
		Columns: webhookColumns(),
	}.with(rules(Rules[*admissionv1.ValidatingWebhookConfiguration]{
		Default:       defaultValidatingWebhooks,
		PrepareCreate: func(c *admissionv1.ValidatingWebhookConfiguration) { c.Generation = 1 },
		PrepareUpdate: func(next, old *admissionv1.ValidatingWebhookConfiguration) {
			raiseGeneration(next, old, !reflect.DeepEqual(next.Webhooks, old.Webhooks))
		},
		Validate: func(c *admissionv1.ValidatingWebhookConfiguration) field.ErrorList {
			return validateWebhooks(c, AsMutating(c.Webhooks), nil)
		},
		ValidateUpdate: func(next, old *admissionv1.ValidatingWebhookConfiguration) field.ErrorList {
			return validateWebhooks(next, AsMutating(next.Webhooks), AsMutating(old.Webhooks))
		},
		Warnings: func(next, _ *admissionv1.ValidatingWebhookConfiguration) []string { return staticNameWarnings(next) },
		Cells: func(c *admissionv1.ValidatingWebhookConfiguration, now time.Time) []any {
			return []any{c.Name, int64(len(c.Webhooks)), age(c, now)}
		},
	}))
}

func defaultValidatingWebhooks(c *admissionv1.ValidatingWebhookConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		orPtr(&w.FailurePolicy, admissionv1.Fail)
		orPtr(&w.MatchPolicy, admissionv1.Equivalent)
		orPtr(&w.NamespaceSelector, metav1.LabelSelector{})
		orPtr(&w.ObjectSelector, metav1.LabelSelector{})
		orPtr(&w.TimeoutSeconds, 10)
		defaultWebhookRules(w.ClientConfig.Service, w.Rules)
	}
}

// AsMutating shows validating webhooks as mutating ones, which have one field more and the same rules.
func AsMutating(hooks []admissionv1.ValidatingWebhook) []admissionv1.MutatingWebhook {
	out := make([]admissionv1.MutatingWebhook, len(hooks))
	for i, h := range hooks {
		out[i] = admissionv1.MutatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
			NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects,
			TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
		}
	}
	return out
}
