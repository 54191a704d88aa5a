package resource

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func mutatingWebhookConfigurations() *Row {
	return webhookConfigurations(Row{
		Resource: "mutatingwebhookconfigurations", Singular: "mutatingwebhookconfiguration", Kind: "MutatingWebhookConfiguration",
		Versions: []Version{servedAs[admissionv1.MutatingWebhookConfiguration, admissionv1.MutatingWebhookConfigurationList](
			admissionv1.SchemeGroupVersion)},
		Prefix: "mutatingwebhookconfigurations",
	}, defaultMutatingWebhooks, func(c *admissionv1.MutatingWebhookConfiguration) []admissionv1.MutatingWebhook { return c.Webhooks })
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
