package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// startOld starts a server for localhost whose certificate is changed to what was customary once, and returns its authority, which is not.
func startOld(t *testing.T, answer http.HandlerFunc, change func(*x509.Certificate)) (s *httptest.Server, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	require.NoError(t, err)
	own := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter}
	change(own)
	leaf, err := x509.CreateCertificate(rand.Reader, own, authority, key.Public(), key)
	require.NoError(t, err)
	s = httptest.NewUnstartedServer(answer)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: key}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // that it is refused is what is expected
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
}

func nameless(c *x509.Certificate) { c.DNSNames = nil }

func bySHA1(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }

// portOf is the port of a server's URL.
func portOf(t *testing.T, s *httptest.Server) int32 {
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	number, err := strconv.ParseInt(port, 10, 32)
	require.NoError(t, err)
	return int32(number)
}

const everythingAudited = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\nomitStages: [RequestReceived]\n"

// remarks are the annotations about certificates of the events in an audit log, by the URIs of their requests.
func remarks(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	out := map[string]map[string]string{}
	for line := range strings.Lines(string(text)) {
		var e auditv1.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		for name, value := range e.Annotations {
			if !strings.Contains(name, ".invalid-cert.kubernetes.io/") {
				continue
			}
			if out[e.RequestURI] == nil {
				out[e.RequestURI] = map[string]string{}
			}
			out[e.RequestURI][name] = value
		}
	}
	return out
}

const (
	noNames = "relies on a legacy Common Name field instead of the SAN extension for subject validation"
	weak    = "uses an insecure SHA-1 signature"
)

// Webhooks whose certificates are of a kind that is not accepted any longer are counted, and named by the audit event of the request that
// they were to be asked about.
func TestOldCertificatesOfWebhooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	h := startHooks(t, told(t, "audit-policy-file="+written(t, everythingAudited), "audit-log-path="+file))
	ignore := admissionv1.Ignore
	old := func(name string, change func(*x509.Certificate)) admissionv1.MutatingWebhook {
		return h.hook(name, "/v1/configmaps", func(w *admissionv1.MutatingWebhook) {
			s, ca := startOld(t, http.NotFound, change)
			url := "https://localhost:" + strconv.Itoa(int(portOf(t, s)))
			w.ClientConfig = admissionv1.WebhookClientConfig{URL: &url, CABundle: ca}
			w.FailurePolicy = &ignore
		})
	}
	h.mutating("m", old("nameless.example.com", nameless))
	_, err := h.create("a")
	require.NoError(t, err)
	require.Equal(t, "1", h.metric("apiserver_webhooks_x509_missing_san_total"))
	require.Equal(t, "0", h.metric("apiserver_webhooks_x509_insecure_sha1_total"))
	h.validating("v", old("weak.example.com", bySHA1))
	_, err = h.create("b")
	require.NoError(t, err)
	require.Equal(t, "2", h.metric("apiserver_webhooks_x509_missing_san_total"))
	require.Equal(t, "1", h.metric("apiserver_webhooks_x509_insecure_sha1_total"))
	h.validating("good", old("good.example.com", func(*x509.Certificate) {}))
	_, err = h.client.CoreV1().ConfigMaps("kube-system").Create(t.Context(), configMap("c", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	h.stop()
	const first, second = "missing-san.invalid-cert.kubernetes.io/localhost", "insecure-sha1.invalid-cert.kubernetes.io/localhost"
	require.Equal(t, map[string]map[string]string{
		configMaps: {first: noNames, second: weak},
		"/api/v1/namespaces/kube-system/configmaps": {first: noNames, second: weak},
	}, remarks(t, file))
}

// So are further API servers, also those whose certificates nobody verifies.
func TestOldCertificatesOfAggregatedServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	s := startServer(t, told(t, "audit-policy-file="+written(t, everythingAudited), "audit-log-path="+file))
	other, _ := startOld(t, serveMood, nameless)
	_, err := s.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "moods"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.dynamic.Resource(apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1beta1.mood.example.com"},
		"spec": map[string]any{"group": "mood.example.com", "version": "v1beta1", "groupPriorityMinimum": int64(1000), "versionPriority": int64(15),
			"insecureSkipTLSVerify": true, "service": map[string]any{"namespace": "default", "name": "moods", "port": int64(portOf(t, other))}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	const mine = "/apis/mood.example.com/v1beta1/moods/mine"
	s.until("requests get through", func() bool { return s.send("GET "+mine, nil).code == http.StatusOK })
	require.NotEqual(t, "0", s.metric("apiserver_kube_aggregator_x509_missing_san_total"))
	require.Equal(t, "0", s.metric("apiserver_kube_aggregator_x509_insecure_sha1_total"))
	s.stop()
	require.Equal(t, map[string]string{"missing-san.invalid-cert.kubernetes.io/localhost": noNames}, remarks(t, file)[mine])
}
