package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// replace puts text in place of the file at path, at once.
func replace(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next")
	require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(t, os.Rename(next, path))
}

// metric is the value of a line of /metrics that begins with name.
func (s *server) metric(name string) string {
	got := s.sendBy(s.http, "GET /metrics", nil)
	require.Equal(s.T, 200, got.code)
	for line := range strings.Lines(string(got.body)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

const authorizers = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n- {type: RBAC, name: rbac}\n"

// Who is asked whether a request may be made can change while the server runs; a file that is wrong changes nothing.
func TestAuthorizationConfig(t *testing.T) {
	path := written(t, authorizers)
	s := startServer(t, told(t, "authorization-config="+path, "token-auth-file="+written(t, "t,jane,1\n")))
	jane := clientOf(t, s.bearer("t"))
	list := func() error {
		_, err := jane.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	require.True(t, apierrors.IsForbidden(list()))
	replace(t, path, authorizers+"- {type: AlwaysDeny, name: alwaysdeny}\n")
	s.until("somebody else is asked too", func() bool {
		err := list()
		return err != nil && strings.HasSuffix(err.Error(), ": alwaysdeny: Everything is forbidden.")
	})
	replace(t, path, strings.ReplaceAll(authorizers, "RBAC", "Rbac"))
	s.until("the bad file was seen", func() bool { return s.reloads("authorization", "failure") == "1" })
	require.ErrorContains(t, list(), "alwaysdeny: Everything is forbidden.")
}

// reloads is how often a new configuration was put to use, or could not be.
func (s *server) reloads(of, status string) string {
	for line := range strings.Lines(string(s.sendBy(s.http, "GET /metrics", nil).body)) {
		if strings.HasPrefix(line, "apiserver_"+of+"_config_controller_automatic_reloads_total{") && strings.Contains(line, `status="`+status+`"`) {
			return strings.TrimSpace(line[strings.LastIndex(line, " "):])
		}
	}
	return ""
}

// Who signs for clients can change, too.
func TestNewAuthority(t *testing.T) {
	first, second := otherPKI(t), otherPKI(t)
	path := written(t, string(first.CA))
	s := startServer(t, told(t, "client-ca-file="+path))
	c := s.as(second.Component("scheduler"))
	c.Host, c.CAData = s.config.Host, s.config.CAData
	_, err := s.whoIs(c)
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)
	replace(t, path, string(second.CA))
	s.until("the second is believed", func() bool {
		_, err := s.whoIs(c)
		return err == nil
	})
	old := s.as(first.Component("scheduler"))
	old.Host, old.CAData = s.config.Host, s.config.CAData
	_, err = s.whoIs(old)
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)
	s.until("aggregated servers are told", func() bool {
		trust, err := s.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
		return err == nil && trust.Data["client-ca-file"] == string(s.options.PKI.CA)+string(second.CA)
	})
}

// asked is whose certificates the server would take, as it says in the handshake, and the protocol that is then spoken.
func (s *server) asked(t *testing.T) (subjects []string, protocol string) {
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.config.Host, "https://"), &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			for _, raw := range r.AcceptableCAs {
				var name pkix.RDNSequence
				if _, err := asn1.Unmarshal(raw, &name); err != nil {
					return nil, err
				}
				subjects = append(subjects, name.String())
			}
			return &tls.Certificate{}, nil
		},
	})
	require.NoError(t, err)
	defer c.Close()
	return subjects, c.ConnectionState().NegotiatedProtocol
}

// authority is a certificate of that name, which signs itself.
func authority(t *testing.T, name string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Clients with several certificates choose by what the server says in the handshake: whose it takes, of clients and of front proxies.
func TestServerSaysWhoseCertificatesItTakes(t *testing.T) {
	clients := written(t, authority(t, "people"))
	s := startServer(t, told(t, "client-ca-file="+clients, "requestheader-client-ca-file="+written(t, authority(t, "proxies"))))
	subjects, protocol := s.asked(t)
	require.Equal(t, []string{"CN=kubernetes", "CN=people", "CN=proxies"}, subjects)
	require.Equal(t, "h2", protocol)
	replace(t, clients, authority(t, "robots"))
	s.until("the new authority is asked for", func() bool {
		subjects, _ := s.asked(t)
		return slices.Equal([]string{"CN=kubernetes", "CN=robots", "CN=proxies"}, subjects)
	})
}

// The server's own certificate can change, too. Its two files do not change at once: as long as they do not fit, the old one is shown.
func TestNewServingCertificate(t *testing.T) {
	s := startServer(t)
	shown := func() []byte {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.config.Host, "https://"), &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Raw
	}
	next := otherPKI(t)
	ownCertificate, ownKey := s.options.PKI.APIServerFiles()
	nextCertificate, nextKey := next.APIServerFiles()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	first := shown()
	require.Equal(t, s.options.PKI.APIServer.Certificate[0], first)
	replace(t, ownCertificate, read(nextCertificate))
	require.Equal(t, first, shown(), "without its key")
	replace(t, ownKey, read(nextKey))
	s.until("the new certificate is shown", func() bool { return bytes.Equal(shown(), next.APIServer.Certificate[0]) })
}

// Whose tokens say who people are can change.
func TestNewIssuers(t *testing.T) {
	issuer := startIssuer(t)
	config := func(prefix string) string {
		ca, err := json.Marshal(issuer.ca)
		require.NoError(t, err)
		return fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {url: %q, audiences: [bonsai], certificateAuthority: %s}\n"+
			"  claimMappings: {username: {claim: sub, prefix: %q}}\n", issuer.url, ca, prefix)
	}
	path := written(t, config("one:"))
	s := startServer(t, told(t, "authentication-config="+path))
	token := issuer.token(map[string]any{"sub": "jane"})
	whoIs := func(want string) func() bool {
		return func() bool {
			who, err := s.whoIs(s.bearer(token))
			return err == nil && who.Username == want
		}
	}
	s.until("the issuer is known", whoIs("one:jane"))
	replace(t, path, config("two:"))
	s.until("the new configuration is in use", whoIs("two:jane"))
	require.Equal(t, "1", s.reloads("authentication", "success"))
	replace(t, path, strings.ReplaceAll(config("three:"), "claim: sub", "claim: ''"))
	s.until("the bad file was seen", func() bool { return s.reloads("authentication", "failure") == "1" })
	require.True(t, whoIs("two:jane")())
	replace(t, path, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n")
	s.until("nobody is believed", func() bool {
		_, err := s.whoIs(s.bearer(token))
		return apierrors.IsUnauthorized(err)
	})
}

const encrypted = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, configmaps]
  providers:
  - secretbox: {keys: [{name: KEYS}]}
  - identity: {}
`

// A key is replaced while the server runs: the new one writes, the old one still reads.
func TestNewKey(t *testing.T) {
	const one, two = "one, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "two, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWc="
	path := written(t, strings.Replace(encrypted, "KEYS", one, 1))
	s := startServer(t, told(t, "encryption-provider-config="+path, "encryption-provider-config-automatic-reload=true"))
	write := func(name string) {
		_, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	write("before")
	replace(t, path, strings.Replace(encrypted, "KEYS", two+"}, {name: "+one, 1))
	s.until("the new key is in use", func() bool { return s.reloads("encryption", "success") == "1" })
	write("after")
	etcd := s.etcd()
	for name, key := range map[string]string{"before": "one", "after": "two"} {
		got, err := etcd.Get(t.Context(), "/registry/configmaps/default/"+name)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(got.Kvs[0].Value), "k8s:enc:secretbox:v1:"+key+":"), name)
	}
	etcd.Close()
	s.stop()
	s.start()
	for _, name := range []string{"before", "after"} {
		_, err := s.client.CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
	}
	require.Equal(t, 200, s.sendBy(s.http, "GET /readyz/kms-providers", nil).code)
}

// What cannot be written down does not happen, if that is asked for.
func TestStrictAudit(t *testing.T) {
	s := newServer(t, told(t, "audit-policy-file="+written(t, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, resources: [{resources: [secrets]}]}]\n"),
		"audit-log-path=/dev/full", "audit-log-mode=blocking-strict"))
	s.start()
	t.Cleanup(s.stop)
	got := s.sendBy(s.http, "GET /api/v1/namespaces/default/secrets", nil)
	require.Equal(t, 500, got.code)
	require.Equal(t, "Internal Server Error: \"/api/v1/namespaces/default/secrets\": failed to store audit event\n", string(got.body))
	require.Equal(t, 200, s.sendBy(s.http, "GET /api/v1/namespaces/default/pods", nil).code)
	require.Equal(t, "1", s.metric("apiserver_audit_requests_rejected_total"))
	require.Equal(t, "1", s.metric(`apiserver_audit_level_total{level="Metadata"}`))
}
