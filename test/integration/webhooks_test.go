package integration

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/cluster/parts/apiserver"
)

// hooks is a webhook server: each path answers by a function, and remembers what it was asked.
type hooks struct {
	*server
	web   *httptest.Server
	ca    []byte
	mu    sync.Mutex
	asked map[string][]*reviewv1.AdmissionRequest
	// answers are by path, without its slash.
	answers map[string]func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse
}

func startHooks(t *testing.T, change ...func(*apiserver.Options)) *hooks {
	h := &hooks{server: startServer(t, change...), asked: map[string][]*reviewv1.AdmissionRequest{},
		answers: map[string]func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse{}}
	h.web = httptest.NewTLSServer(h)
	t.Cleanup(h.web.Close)
	h.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.web.Certificate().Raw})
	return h
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	review := &reviewv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.asked[path] = append(h.asked[path], review.Request)
	answer := h.answers[path]
	h.mu.Unlock()
	if path == "slow" {
		<-r.Context().Done()
		return
	}
	if path == "elsewhere" {
		http.Redirect(w, r, "/allow", http.StatusTemporaryRedirect)
		return
	}
	review.Response = answer(review.Request)
	if review.Response != nil {
		review.Response.UID = review.Request.UID
	}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

// of returns what path was asked, and forgets it.
func (h *hooks) of(path string) []*reviewv1.AdmissionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked[path]
	delete(h.asked, path)
	return asked
}

func allow(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
	return &reviewv1.AdmissionResponse{Allowed: true}
}

// patch answers with a JSON patch.
func patch(ops string) func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
	kind := reviewv1.PatchTypeJSONPatch
	return func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		return &reviewv1.AdmissionResponse{Allowed: true, Patch: []byte(ops), PatchType: &kind}
	}
}

// hook is a webhook at the path that its name begins with, about "group/version/resource" of all operations.
func (h *hooks) hook(name, resource string, change ...func(*admissionv1.MutatingWebhook)) admissionv1.MutatingWebhook {
	path, _, _ := strings.Cut(name, ".")
	url, none := h.web.URL+"/"+path, admissionv1.SideEffectClassNone
	parts := strings.SplitN(resource, "/", 3)
	w := admissionv1.MutatingWebhook{
		Name: name, ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: h.ca},
		SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.OperationAll},
			Rule:       admissionv1.Rule{APIGroups: parts[:1], APIVersions: parts[1:2], Resources: parts[2:]},
		}},
	}
	for _, f := range change {
		f(&w)
	}
	return w
}

func (h *hooks) mutating(name string, ws ...admissionv1.MutatingWebhook) {
	h.Helper()
	_, err := h.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(h.Context(),
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: ws}, metav1.CreateOptions{})
	require.NoError(h, err)
}

func (h *hooks) validating(name string, ws ...admissionv1.MutatingWebhook) {
	h.Helper()
	c := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, w := range ws {
		c.Webhooks = append(c.Webhooks, admissionv1.ValidatingWebhook{
			Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy, MatchPolicy: w.MatchPolicy,
			NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, SideEffects: w.SideEffects,
			TimeoutSeconds: w.TimeoutSeconds, AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions})
	}
	_, err := h.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(h.Context(), c, metav1.CreateOptions{})
	require.NoError(h, err)
}

func (h *hooks) create(name string) (*corev1.ConfigMap, error) {
	return h.client.CoreV1().ConfigMaps("default").Create(h.Context(), configMap(name, nil), metav1.CreateOptions{})
}

func TestMutatingWebhooksChangeWhatIsStored(t *testing.T) {
	h := startHooks(t)
	h.answers["label"] = patch(`[{"op": "add", "path": "/metadata/labels", "value": {"by": "label"}}]`)
	h.answers["data"] = patch(`[{"op": "add", "path": "/data", "value": {"a": "b"}}]`)
	again := admissionv1.IfNeededReinvocationPolicy
	h.mutating("first", h.hook("label.example.com", "/v1/configmaps", func(w *admissionv1.MutatingWebhook) { w.ReinvocationPolicy = &again }))
	h.mutating("second", h.hook("data.example.com", "/v1/configmaps"))

	made, err := h.create("a")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"by": "label"}, made.Labels)
	require.Equal(t, map[string]string{"a": "b"}, made.Data)
	first := h.of("label")
	require.Len(t, first, 2, "asked again, as the second has changed the object")
	require.Contains(t, string(first[1].Object.Raw), `"data":{"a":"b"}`)
	require.Len(t, h.of("data"), 1, "never again")
	q := first[0]
	require.Equal(t, reviewv1.Create, q.Operation)
	require.Equal(t, "a", q.Name)
	require.Equal(t, "default", q.Namespace)
	require.Equal(t, metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, q.Kind)
	require.Equal(t, metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"}, q.Resource)
	require.False(t, *q.DryRun)
	require.JSONEq(t, `{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`, string(q.Options.Raw))
	require.Contains(t, string(q.Object.Raw), `"kind":"ConfigMap"`)
	require.Contains(t, q.UserInfo.Groups, "system:masters")

	_, err = h.client.CoreV1().ConfigMaps("default").Patch(h.Context(), "a", types.MergePatchType, []byte(`{"data":{"a":"c"}}`), metav1.PatchOptions{DryRun: []string{"All"}})
	require.NoError(t, err)
	q = h.of("label")[0]
	require.Equal(t, reviewv1.Update, q.Operation)
	require.True(t, *q.DryRun)
	require.Contains(t, string(q.OldObject.Raw), `"a":"b"`)
	require.Contains(t, string(q.Options.Raw), `"kind":"UpdateOptions"`)
}

func TestNamesAreGeneratedBetweenTheTwoHalvesOfAdmission(t *testing.T) {
	h := startHooks(t)
	h.answers["mutate"], h.answers["validate"] = allow, allow
	h.mutating("m", h.hook("mutate.example.com", "/v1/configmaps"))
	h.validating("v", h.hook("validate.example.com", "/v1/configmaps"))
	made, err := h.client.CoreV1().ConfigMaps("default").Create(h.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "some-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	before, after := h.of("mutate")[0], h.of("validate")[0]
	require.Empty(t, before.Name)
	require.NotContains(t, string(before.Object.Raw), `"uid"`)
	require.Equal(t, made.Name, after.Name)
	require.Contains(t, string(after.Object.Raw), string(made.UID))
}

func TestValidatingWebhooksRefuse(t *testing.T) {
	h := startHooks(t)
	h.answers["deny"] = func(q *reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		return &reviewv1.AdmissionResponse{Warnings: []string{"think again"}, Result: &metav1.Status{
			Code: 409, Reason: metav1.StatusReasonConflict, Message: "not " + q.Name}}
	}
	h.answers["shy"] = func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse { return &reviewv1.AdmissionResponse{} }
	h.answers["patches"] = patch(`[]`)
	h.validating("v",
		h.hook("deny.example.com", "/v1/configmaps"),
		h.hook("shy.example.com", "/v1/secrets"),
		h.hook("patches.example.com", "/v1/serviceaccounts"))

	got := h.send("POST /api/v1/namespaces/default/configmaps", []byte(`{"metadata":{"name":"a"}}`))
	require.Equal(t, 409, got.code)
	require.Equal(t, `299 - "think again"`, got.header.Get("Warning"))
	require.Contains(t, string(got.body), `"message":"admission webhook \"deny.example.com\" denied the request: not a","reason":"Conflict"`)

	_, err := h.client.CoreV1().Secrets("default").Create(h.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
	require.EqualError(t, err, `admission webhook "shy.example.com" denied the request without explanation`)
	require.Equal(t, int32(400), err.(apierrors.APIStatus).Status().Code)

	_, err = h.client.CoreV1().ServiceAccounts("default").Create(h.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{})
	require.EqualError(t, err, `Internal error occurred: failed calling webhook "patches.example.com": `+
		`received invalid webhook response: validating webhook may not return response.patch`)
}

func TestAWebhookThatCannotBeAskedRefusesOrNot(t *testing.T) {
	h := startHooks(t)
	h.answers["absent"] = func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse { return nil }
	h.answers["allow"] = allow
	second, ignore := int32(1), admissionv1.Ignore
	quick := func(w *admissionv1.MutatingWebhook) { w.TimeoutSeconds = &second }
	open := func(w *admissionv1.MutatingWebhook) { w.FailurePolicy = &ignore }
	nowhere := func(w *admissionv1.MutatingWebhook) {
		w.ClientConfig = admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Name: "none", Namespace: "default"}}
	}
	for _, c := range []struct {
		hook admissionv1.MutatingWebhook
		want string
	}{
		{h.hook("slow.example.com", "/v1/configmaps", quick),
			`failed to call webhook: Post "` + h.web.URL + `/slow?timeout=1s": context deadline exceeded`},
		{h.hook("slow.example.com", "/v1/configmaps", quick, open), ""},
		{h.hook("absent.example.com", "/v1/configmaps"), `received invalid webhook response: webhook response was absent`},
		{h.hook("absent.example.com", "/v1/configmaps", open), ""},
		{h.hook("none.example.com", "/v1/configmaps", nowhere),
			`failed to call webhook: Post "https://none.default.svc:443/?timeout=10s": service "none" not found`},
		{h.hook("elsewhere.example.com", "/v1/configmaps"),
			`failed to call webhook: the server responded with the status code 307 but did not return more information`},
	} {
		want := ""
		if c.want != "" {
			want = `Internal error occurred: failed calling webhook "` + c.hook.Name + `": ` + c.want
		}
		for _, kind := range []string{"mutating", "validating"} {
			if kind == "mutating" {
				h.mutating("x", c.hook)
			} else {
				h.validating("x", c.hook)
			}
			_, err := h.create("a")
			if want == "" {
				require.NoError(t, err, kind)
				require.NoError(t, h.client.CoreV1().ConfigMaps("default").Delete(h.Context(), "a", metav1.DeleteOptions{}))
			} else {
				require.EqualError(t, err, want, kind)
			}
			answer := h.send("DELETE /apis/admissionregistration.k8s.io/v1/"+kind+"webhookconfigurations/x", nil)
			require.Equal(t, 200, answer.code, string(answer.body))
		}
	}
	require.Empty(t, h.of("allow"), "a redirect is not followed")
}

func TestWebhooksSelect(t *testing.T) {
	h := startHooks(t)
	for _, name := range []string{"labels", "namespaces", "conditions", "everything", "exact"} {
		h.answers[name] = allow
	}
	exact := admissionv1.Exact
	h.mutating("m",
		h.hook("labels.example.com", "/v1/configmaps", func(w *admissionv1.MutatingWebhook) {
			w.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}),
		h.hook("namespaces.example.com", "*/*/*", func(w *admissionv1.MutatingWebhook) {
			w.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}
		}),
		h.hook("conditions.example.com", "/v1/configmaps", func(w *admissionv1.MutatingWebhook) {
			w.MatchConditions = []admissionv1.MatchCondition{
				{Name: "name", Expression: `request.operation == 'CREATE' && object.metadata.name.startsWith('c')`},
				{Name: "may", Expression: `authorizer.group('').resource('nodes').check('delete').allowed() && authorizer.requestResource.check('create').allowed()`},
			}
		}),
		h.hook("everything.example.com", "*/*/*/*"),
		h.hook("exact.example.com", "events.k8s.io/v1/events", func(w *admissionv1.MutatingWebhook) { w.MatchPolicy = &exact }),
	)
	h.validating("v")
	require.Empty(t, h.of("everything"), "webhooks are not asked about webhooks")

	_, err := h.client.CoreV1().Namespaces().Create(h.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "prod", Labels: map[string]string{"env": "prod"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	ns := h.of("namespaces")
	require.Len(t, ns, 1)
	require.Equal(t, "prod", ns[0].Namespace)
	maps := h.client.CoreV1().ConfigMaps("prod")
	for name, labels := range map[string]map[string]string{"a": {"a": "b"}, "c": nil} {
		_, err := maps.Create(h.Context(), configMap(name, labels), metav1.CreateOptions{})
		require.NoError(t, err)
	}
	require.Len(t, h.of("namespaces"), 2)
	require.Equal(t, "a", h.of("labels")[0].Name)
	conditions := h.of("conditions")
	require.Len(t, conditions, 1)
	require.Equal(t, "c", conditions[0].Name)

	h.of("everything")
	require.NoError(t, maps.DeleteCollection(h.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
	deleted := h.of("everything")
	require.Len(t, deleted, 2)
	require.Equal(t, reviewv1.Delete, deleted[0].Operation)
	require.Empty(t, deleted[0].Object.Raw)
	require.Contains(t, string(deleted[0].OldObject.Raw), `"name":"a"`)
	require.Len(t, h.of("labels"), 1, "the old object's labels count too")
	require.Empty(t, h.of("exact"))
}

func TestWebhooksSeeTheVersionThatTheyName(t *testing.T) {
	h := startHooks(t)
	h.answers["events"] = patch(`[{"op": "replace", "path": "/note", "value": "changed"}]`)
	h.answers["scale"] = patch(`[{"op": "replace", "path": "/spec/replicas", "value": 7}]`)
	h.mutating("m", h.hook("events.example.com", "events.k8s.io/v1/events"), h.hook("scale.example.com", "apps/v1/deployments/scale"))

	event, err := h.client.CoreV1().Events("default").Create(h.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Message: "said", InvolvedObject: corev1.ObjectReference{Namespace: "default"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "changed", event.Message)
	q := h.of("events")[0]
	require.Equal(t, "events.k8s.io", q.Kind.Group)
	require.Equal(t, "", q.RequestKind.Group)
	require.Contains(t, string(q.Object.Raw), `"note":"said"`)

	labels := map[string]string{"a": "b"}
	_, err = h.client.AppsV1().Deployments("default").Create(h.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Empty(t, h.of("scale"))
	scale, err := h.client.AppsV1().Deployments("default").UpdateScale(h.Context(), "web", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Spec: autoscalingv1.ScaleSpec{Replicas: 3}}, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, int32(7), scale.Spec.Replicas)
	q = h.of("scale")[0]
	require.Equal(t, metav1.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}, q.Kind)
	require.Equal(t, "scale", q.SubResource)
	require.Contains(t, string(q.Object.Raw), `"spec":{"replicas":3}`)
	require.Contains(t, string(q.OldObject.Raw), `"spec":{"replicas":1}`)
}

func TestWebhooksMayForbidToConnect(t *testing.T) {
	h := startHooks(t)
	h.answers["exec"] = func(*reviewv1.AdmissionRequest) *reviewv1.AdmissionResponse {
		return &reviewv1.AdmissionResponse{Result: &metav1.Status{Message: "no shells"}}
	}
	h.validating("v", h.hook("exec.example.com", "/v1/pods/exec"))
	got := h.send("POST /api/v1/namespaces/default/pods/web/exec?command=sh&command=-l&stdin=true&container=c", nil)
	require.Equal(t, 400, got.code, string(got.body))
	require.Contains(t, string(got.body), `denied the request: no shells`)
	q := h.of("exec")[0]
	require.Equal(t, reviewv1.Connect, q.Operation)
	require.JSONEq(t, `{"kind":"PodExecOptions","apiVersion":"v1","stdin":true,"container":"c","command":["sh","-l"]}`, string(q.Object.Raw))
	require.Equal(t, "web", q.Name)
}
