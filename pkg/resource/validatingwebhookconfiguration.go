package resource

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func validatingWebhookConfigurations() *Row {
	return webhookConfigurations(Row{
		Resource: "validatingwebhookconfigurations", Singular: "validatingwebhookconfiguration", Kind: "ValidatingWebhookConfiguration",
		Versions: []Version{servedAs[admissionv1.ValidatingWebhookConfiguration, admissionv1.ValidatingWebhookConfigurationList](
			admissionv1.SchemeGroupVersion)},
		Prefix: "validatingwebhookconfigurations",
	}, defaultValidatingWebhooks, func(c *admissionv1.ValidatingWebhookConfiguration) []admissionv1.MutatingWebhook {
		return AsMutating(c.Webhooks)
	})
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
	if hooks == nil {
		return nil
	}
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
