package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// at resolves one service, web, to its address.
func at(address string) func(context.Context, string, string, int32) (string, error) {
	return func(_ context.Context, _, name string, _ int32) (string, error) {
		if name != "web" {
			return "", apierrors.NewNotFound(schema.GroupResource{Resource: "service"}, name)
		}
		return address, nil
	}
}

func hookTo(t *testing.T, c *clients, cc admissionv1.WebhookClientConfig, versions ...string) *hook {
	hooks := newHooks("c", []admissionv1.MutatingWebhook{{Name: "a.example.com", ClientConfig: cc, AdmissionReviewVersions: versions}}, c)
	require.Len(t, hooks, 1)
	return hooks[0]
}

// counting is a server that answers in the version that it is asked in, and counts connections.
func counting(t *testing.T) (s *httptest.Server, connections *atomic.Int32, versions *[]string) {
	connections, versions = &atomic.Int32{}, &[]string{}
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &reviewv1.AdmissionReview{}
		_ = json.NewDecoder(r.Body).Decode(review)
		*versions = append(*versions, review.APIVersion+" "+r.URL.String())
		review.Response = &reviewv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: []byte("[]")}
		if review.APIVersion == "admission.k8s.io/v1" {
			review.Response.Patch = nil
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, connections, versions
}

func caOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func TestServicesAreReachedAtTheirEndpoints(t *testing.T) {
	s, connections, asked := counting(t)
	// The test server's certificate is for example.com, the service's name is web.default.svc.
	c := (&common{Config: Config{Resolve: at(s.Listener.Addr().String())}}).newClients(nil)
	path, request := "/check", &reviewv1.AdmissionRequest{UID: types.UID("1")}
	to := func(name string, port int32) *hook {
		return hookTo(t, c, admissionv1.WebhookClientConfig{CABundle: caOf(s),
			Service: &admissionv1.ServiceReference{Namespace: "default", Name: name, Path: &path, Port: &port}}, "v1")
	}
	web := to("web", 443)
	_, err := ask(t.Context(), web, request, false)
	require.ErrorContains(t, err, `failed calling webhook "a.example.com": failed to call webhook: Post "https://web.default.svc:443/check": `+
		`tls: failed to verify certificate: x509: certificate is valid for example.com`)
	client, err := web.client()
	require.NoError(t, err)
	client.http.Transport.(bounded).TLSClientConfig = &tls.Config{RootCAs: client.http.Transport.(bounded).TLSClientConfig.RootCAs, ServerName: "example.com"}
	before := connections.Load()
	for range 3 {
		_, err = ask(t.Context(), web, request, false)
		require.NoError(t, err)
	}
	require.Equal(t, int32(1), connections.Load()-before, "connections are used again")
	require.Equal(t, "admission.k8s.io/v1 /check", (*asked)[0])

	_, err = ask(t.Context(), to("none", 443), request, false)
	require.ErrorContains(t, err, `service "none" not found`)
}

func TestOldWebhooksAreAskedInTheirVersion(t *testing.T) {
	s, _, asked := counting(t)
	c := (&common{Config: Config{}}).newClients(nil)
	request := &reviewv1.AdmissionRequest{UID: types.UID("1")}
	r, err := ask(t.Context(), hookTo(t, c, admissionv1.WebhookClientConfig{URL: &s.URL, CABundle: caOf(s)}, "v0", "v1beta1", "v1"), request, true)
	require.NoError(t, err)
	require.Equal(t, reviewv1.PatchTypeJSONPatch, *r.PatchType, "which v1beta1 need not say")
	require.Equal(t, []string{"admission.k8s.io/v1beta1 /"}, *asked)
	_, err = ask(t.Context(), hookTo(t, c, admissionv1.WebhookClientConfig{URL: &s.URL}, "v0"), request, true)
	require.EqualError(t, err, `failed calling webhook "a.example.com": could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)`)
}

func TestClientsThatNobodyNamesAreForgotten(t *testing.T) {
	c := (&common{Config: Config{}}).newClients(nil)
	one, two := "https://127.0.0.1:1/", "https://127.0.0.1:2/"
	for _, url := range []*string{&one, &two} {
		_, err := c.get(&admissionv1.WebhookClientConfig{URL: url})
		require.NoError(t, err)
	}
	c.begin()
	c.keep(&admissionv1.WebhookClientConfig{URL: &two})
	c.drop()
	require.Len(t, c.byKey, 1)
	require.Contains(t, c.byKey, keyOf(&admissionv1.WebhookClientConfig{URL: &two}))
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		result *metav1.Status
		want   string
		code   int32
	}{
		{nil, `admission webhook "a" denied the request without explanation`, 400},
		{&metav1.Status{Code: 200, Status: "Success", Reason: "Gone"}, `admission webhook "a" denied the request: Gone`, 400},
		{&metav1.Status{Code: 418, Message: "tea"}, `admission webhook "a" denied the request: tea`, 418},
	} {
		err := refusal("a", c.result)
		require.EqualError(t, err, c.want)
		require.Equal(t, c.code, err.ErrStatus.Code)
		require.Equal(t, metav1.StatusFailure, err.ErrStatus.Status)
	}
}
