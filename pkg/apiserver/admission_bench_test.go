package apiserver

import (
	"context"
	"fmt"
	"testing"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/policy"
	"bonsai/pkg/apiserver/admission/webhook"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkDynamicAdmission is what policies and webhooks add to every create: with none configured, and with ten of each kind that
// are about something else.
func BenchmarkDynamicAdmission(b *testing.B) {
	for _, n := range []int{0, 10} {
		b.Run(fmt.Sprintf("configured=%d", n), func(b *testing.B) {
			c := start(b)
			chain := dynamicChain(b.Context(), c)
			for i := range n {
				configure(b, c, fmt.Sprintf("x%d", i))
			}
			rows := c.server.cfg.Table.Rows()
			row := rows[rowIndex(rows, "Pod")]
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}
			b.ReportAllocs()
			for b.Loop() {
				a := &admission.Attributes{Operation: admission.Create, Row: row, Namespace: "default", Name: "a", Object: pod,
					User: auth.User{Name: "admin"}}
				require.NoError(b, chain.Admit(b.Context(), a))
				require.NoError(b, chain.Validate(b.Context(), a))
			}
		})
	}
}

func rowIndex(rows []*resource.Row, kind string) int {
	for i, r := range rows {
		if r.Kind == kind {
			return i
		}
	}
	return -1
}

func dynamicChain(ctx context.Context, c *cluster) admission.Chain {
	get := NewGetter(c.store, c.server.cfg.Table)
	src := live.Source{Context: ctx, Store: c.store, Table: c.server.cfg.Table}
	changing, refusing := webhook.New(webhook.Config{Source: src, Get: get, Authorizer: notMice{}})
	mutating, validating := policy.New(policy.Config{Source: src, Get: get, Authorizer: notMice{}, Kinds: src.Table.ByKind, Types: TypesOf})
	return admission.Chain{mutating, changing, validating, refusing}
}

// configure makes one of each kind, about other resources than pods.
func configure(t testing.TB, c *cluster, name string) {
	rule := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.OperationAll},
		Rule: admissionv1.Rule{APIGroups: []string{"apps", "batch"}, APIVersions: []string{"v1"}, Resources: []string{"deployments", "jobs"}}}
	match := &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: rule}}}
	url, none := "https://127.0.0.1:1/", admissionv1.SideEffectClassNone
	hook := admissionv1.MutatingWebhook{Name: name + ".example.com", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionv1.WebhookClientConfig{URL: &url}, Rules: []admissionv1.RuleWithOperations{rule}}
	validatingHook := admissionv1.ValidatingWebhook{Name: hook.Name, SideEffects: &none, AdmissionReviewVersions: hook.AdmissionReviewVersions,
		ClientConfig: hook.ClientConfig, Rules: hook.Rules}
	meta, ctx, api := metav1.ObjectMeta{Name: name}, t.Context(), c.client.AdmissionregistrationV1()
	_, err := api.MutatingWebhookConfigurations().Create(ctx, &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: meta, Webhooks: []admissionv1.MutatingWebhook{hook}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.ValidatingWebhookConfigurations().Create(ctx, &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: meta, Webhooks: []admissionv1.ValidatingWebhook{validatingHook}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicySpec{MatchConstraints: match, Validations: []admissionv1.Validation{{Expression: "true"}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.MutatingAdmissionPolicies().Create(ctx, &admissionv1.MutatingAdmissionPolicy{ObjectMeta: meta,
		Spec: admissionv1.MutatingAdmissionPolicySpec{MatchConstraints: match, ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: `[JSONPatch{op: "test", path: "/kind", value: "Job"}]`}}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = api.MutatingAdmissionPolicyBindings().Create(ctx, &admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta,
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name}}, metav1.CreateOptions{})
	require.NoError(t, err)
}
