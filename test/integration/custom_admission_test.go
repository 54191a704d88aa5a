package integration

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const cupCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: cups.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: cups, singular: cup, kind: Cup, listKind: Cups}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: &schema {type: object, properties: {size: {type: integer}, most: {type: integer}, color: {type: string}}}}}
  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: *schema}}
`

var (
	cupsV1 = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "cups"}
	cupsV2 = schema.GroupVersionResource{Group: "example.com", Version: "v2", Resource: "cups"}
)

// Who wants to know of a kind in one version is told of it in that version, whichever the client speaks, and what he changes there is
// changed.
func TestWebhooksSeeCustomKindsInTheirVersion(t *testing.T) {
	h := startHooks(t)
	h.define(object(t, cupCRD))
	h.answers["equivalent"] = patch(`[{"op":"add","path":"/color","value":"blue"}]`)
	h.answers["exact"] = patch(`[{"op":"add","path":"/color","value":"red"}]`)
	hook := func(path string, match admissionv1.MatchPolicyType) admissionv1.MutatingWebhook {
		url, none := h.web.URL+"/"+path, admissionv1.SideEffectClassNone
		return admissionv1.MutatingWebhook{Name: path + ".example.com", MatchPolicy: &match, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: h.ca},
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"CREATE"},
				Rule: admissionv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v2"}, Resources: []string{"cups"}}}}}
	}
	_, err := h.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "cups"},
		Webhooks:   []admissionv1.MutatingWebhook{hook("equivalent", admissionv1.Equivalent), hook("exact", admissionv1.Exact)},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	made, err := h.dynamic.Resource(cupsV1).Namespace("default").Create(t.Context(),
		object(t, `{"apiVersion":"example.com/v1","kind":"Cup","metadata":{"name":"a"},"size":1}`), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, []any{"example.com/v1", "blue", int64(1)}, []any{made.GetAPIVersion(), made.Object["color"], made.Object["size"]})
	asked := h.of("equivalent")
	require.Len(t, asked, 1)
	require.Empty(t, h.of("exact"))
	r := asked[0]
	require.Equal(t, []string{"v2", "v1", "v2", "v1"}, []string{r.Resource.Version, r.RequestResource.Version, r.Kind.Version, r.RequestKind.Version})
	shown := &unstructured.Unstructured{}
	require.NoError(t, json.Unmarshal(r.Object.Raw, &shown.Object))
	require.Equal(t, "example.com/v2", shown.GetAPIVersion())

	made, err = h.dynamic.Resource(cupsV2).Namespace("default").Create(t.Context(),
		object(t, `{"apiVersion":"example.com/v2","kind":"Cup","metadata":{"name":"b"}}`), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "red", made.Object["color"])

	// Another kind cannot be made of it.
	h.mu.Lock()
	h.answers["equivalent"] = func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		return patch(`[{"op":"replace","path":"/kind","value":"Saucer"}]`)(nil)
	}
	h.mu.Unlock()
	_, err = h.dynamic.Resource(cupsV1).Namespace("default").Create(t.Context(),
		object(t, `{"apiVersion":"example.com/v1","kind":"Cup","metadata":{"name":"c"}}`), metav1.CreateOptions{})
	require.True(t, apierrors.IsInternalError(err), "%v", err)
}

// A policy may be about a custom kind, and its parameters may be of one.
func TestPoliciesOfCustomKinds(t *testing.T) {
	s := startServer(t)
	s.define(object(t, cupCRD))
	ctx, cups := t.Context(), s.dynamic.Resource(cupsV2).Namespace("default")
	_, err := cups.Create(ctx, object(t, `{"apiVersion":"example.com/v2","kind":"Cup","metadata":{"name":"limit"},"most":5}`), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "size"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			ParamKind: &admissionv1.ParamKind{APIVersion: "example.com/v1", Kind: "Cup"},
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{"CREATE"},
				Rule:       admissionv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: []string{"cups"}}}}}},
			Validations: []admissionv1.Validation{{Expression: "object.size <= params.most", MessageExpression: "object.apiVersion + ': at most ' + string(params.most)"}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	deny := admissionv1.DenyAction
	_, err = s.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "size"},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "size", ValidationActions: []admissionv1.ValidationAction{"Deny"},
			ParamRef: &admissionv1.ParamRef{Name: "limit", ParameterNotFoundAction: &deny}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = cups.Create(ctx, object(t, `{"apiVersion":"example.com/v2","kind":"Cup","metadata":{"name":"small"},"size":5}`), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = cups.Create(ctx, object(t, `{"apiVersion":"example.com/v2","kind":"Cup","metadata":{"name":"big"},"size":6}`), metav1.CreateOptions{})
	require.EqualError(t, err, `cups.example.com "big" is forbidden: ValidatingAdmissionPolicy 'size' with binding 'size' denied request: example.com/v1: at most 5`)
}

// What clients are told who ask for what a custom kind does not have.
func TestCustomRefusals(t *testing.T) {
	s := startServer(t)
	s.define(object(t, cupCRD))
	const cups = "/apis/example.com/v1/namespaces/default/cups"
	made := s.send("POST "+cups, []byte(`{"apiVersion":"example.com/v1","kind":"Cup","metadata":{"name":"a"}}`))
	require.Equal(t, http.StatusCreated, made.code)
	merge := "Content-Type: application/merge-patch+json"
	for _, tc := range []struct {
		line, body string
		code       int
		want       string
	}{
		{"GET " + cups + "/a/scale", "", 404, `"message":"cups.example.com \"a\" not found"`},
		{"POST " + cups + "/a/status", "{}", 404, `"message":"cups.example.com \"a\" not found"`},
		{"POST /apis/example.com/v1/cups", "{}", 404, "404 page not found"},
		{"DELETE /apis/example.com/v1/cups", "", 404, "404 page not found"},
		{"PATCH " + cups, "{}", 400, `"message":"name must be provided"`},
		{"PUT " + cups, "{}", 400, `"message":"name must be provided"`},
		{"POST " + cups + "/a", "{}", 400, `Object 'Kind' is missing in '{}'`}, // a create, as upstream has it for these kinds alone
		{"PUT " + cups + "/a", `{"kind":"Cup","metadata":{"name":"a"}}`, 400, `the API version in the data () does not match the expected API version (example.com/v1)`},
		{"PUT " + cups + "/a", `{"apiVersion":"example.com/v1","kind":"Mug","metadata":{"name":"a"}}`, 422, `Mug.example.com \"a\" is invalid: kind: Invalid value: \"Mug\": must be Cup`},
		{"PUT " + cups + "/a", `[]`, 400, `json: cannot unmarshal array into Go value of type struct { APIVersion string`},
		{"PUT " + cups + "/a", `null`, 400, `Object 'Kind' is missing in 'null'`},
		{"GET " + cups, "", 200, `"kind":"Cups"`},
		{"GET " + cups, "", 200, `"metadata":{"continue":"","resourceVersion":`},
	} {
		headers := []string{}
		if tc.line[:5] == "PATCH" {
			headers = append(headers, merge)
		}
		got := s.send(tc.line, []byte(tc.body), headers...)
		require.Equal(t, tc.code, got.code, tc.line)
		require.Contains(t, string(got.body), tc.want, tc.line)
	}
}
