package integration

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// doorman is a webhook server that allows everything, and notes by whom it is asked.
type doorman struct {
	*httptest.Server
	mu    sync.Mutex
	shown []string
}

func startDoorman(t *testing.T) *doorman {
	t.Helper()
	d := &doorman{}
	d.Server = httptest.NewUnstartedServer(d)
	d.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	d.StartTLS()
	t.Cleanup(d.Close)
	return d
}

func (d *doorman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review reviewv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	certificate := "no certificate"
	if certs := r.TLS.PeerCertificates; len(certs) > 0 {
		certificate = certs[0].Subject.CommonName
	}
	d.mu.Lock()
	d.shown = append(d.shown, fmt.Sprintf("%s: %q, %s", r.URL.Path, r.Header.Get("Authorization"), certificate))
	d.mu.Unlock()
	review.Response, review.Request = &reviewv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}, nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}

// credentials is a kubeconfig whose users are named after the servers that they are shown to.
func credentials(t *testing.T, users map[*doorman]*clientcmdapi.AuthInfo) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	for d, user := range users {
		c.AuthInfos[d.Listener.Addr().String()] = user
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*c, path))
	return path
}

// What the API server shows to webhooks is for each sort of them in a kubeconfig of its own, which the configuration of admission names;
// whom it says nothing of is shown nothing.
func TestWebhooksAreShownCredentials(t *testing.T) {
	first, second, third := startDoorman(t), startDoorman(t), startDoorman(t)
	other, err := clientcmd.LoadFromFile(otherPKI(t).Component("scheduler"))
	require.NoError(t, err)
	certificate := slices.Collect(maps.Values(other.AuthInfos))[0]
	var plugins strings.Builder
	for plugin, users := range map[string]map[*doorman]*clientcmdapi.AuthInfo{
		"MutatingAdmissionWebhook":   {first: {Token: "change"}, second: certificate},
		"ValidatingAdmissionWebhook": {first: certificate, second: {Token: "check"}},
	} {
		fmt.Fprintf(&plugins, "- {name: %s, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: %s}}\n",
			plugin, credentials(t, users))
	}
	h := &hooks{server: startServer(t, told(t, "admission-control-config-file="+
		written(t, "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"+plugins.String()))), web: first.Server}
	var changing, checking []admissionv1.MutatingWebhook
	for i, d := range []*doorman{first, second, third} {
		at := func(path string) func(*admissionv1.MutatingWebhook) {
			url := d.URL + path
			return func(w *admissionv1.MutatingWebhook) {
				w.ClientConfig = admissionv1.WebhookClientConfig{URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw})}
			}
		}
		name := fmt.Sprintf("h%d.example.com", i)
		changing = append(changing, h.hook(name, "/v1/configmaps", at("/change")))
		checking = append(checking, h.hook(name, "/v1/configmaps", at("/check")))
	}
	h.mutating("m", changing...)
	h.validating("v", checking...)

	_, err = h.create("a")
	require.NoError(t, err)
	const scheduler = "system:kube-scheduler"
	require.Equal(t, []string{`/change: "Bearer change", no certificate`, `/check: "", ` + scheduler}, first.shown)
	require.Equal(t, []string{`/change: "", ` + scheduler, `/check: "Bearer check", no certificate`}, second.shown)
	require.Equal(t, []string{`/change: "", no certificate`, `/check: "", no certificate`}, third.shown)
}
