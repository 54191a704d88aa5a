package apiserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/allocator"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// cluster is an API server on a real store, answering over TLS and HTTP/2. Who asks is what the User-Name header or, without one, the
// administrator; "nobody" has no credentials, and "mouse" may do nothing.
type cluster struct {
	t      testing.TB
	server *Server
	store  *store.Store
	url    string
	http   *http.Client
	client *kubernetes.Clientset
}

func start(t testing.TB, change ...func(*Config)) *cluster {
	t.Helper()
	return startOn(t, store.Config{}, change...)
}

// startOn starts a server on a store that is configured by at, but for its place.
func startOn(t testing.TB, at store.Config, change ...func(*Config)) *cluster {
	t.Helper()
	at.Dir = t.TempDir()
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	st, err := store.Open(ctx, StoreConfig(table, at))
	require.NoError(t, err)
	alloc, err := allocator.New(allocator.Config{Store: st, Encode: Encoder(table), Now: metav1.Now,
		ServiceCIDR: netip.MustParsePrefix("10.96.0.0/24"), FirstPort: 30000, LastPort: 32767})
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	get := NewGetter(st, table)
	tokens, err := auth.NewTokens(key, auth.Issuer, get, time.Now)
	require.NoError(t, err)
	cfg := Config{
		Store: st, Table: table, Authenticator: byHeader{}, Authorizer: notMice{}, Allocator: alloc,
		Admission: admission.Default(admission.Deps{Get: get})[:1],
		Tokens:    tokens, Reviews: auth.Reviews(&auth.Bearer{Audiences: tokens.Audiences(), Recognisers: []auth.Recogniser{tokens}}, notMice{}, notMice{}),
		ServiceIP: "10.96.0.1", AdvertiseIP: "192.0.2.1", AdvertisePort: 6443,
	}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	c := &cluster{t: t, server: s, store: st}
	c.serve(ctx, cancel)
	return c
}

// serve begins to answer and makes the clients.
func (c *cluster) serve(ctx context.Context, cancel context.CancelFunc) {
	t := c.t
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- c.server.Serve(ctx, servingTLS(), l) }()
	t.Cleanup(func() {
		c.hangUp()
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, c.store.Close())
	})
	c.url = "https://" + l.Addr().String()
	c.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableCompression: true}}
	c.client, err = kubernetes.NewForConfig(&rest.Config{
		Host: c.url, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	require.NoError(t, err)
	require.Eventually(t, c.server.ready.Load, 10*time.Second, time.Millisecond)
}

// servingTLS has a certificate that nobody looks at.
func servingTLS() *tls.Config {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}

// hangUp closes the clients' connections: a server that stops gives those of HTTP/2 a second to do so.
func (c *cluster) hangUp() {
	c.http.CloseIdleConnections()
	c.client.CoreV1().RESTClient().(*rest.RESTClient).Client.CloseIdleConnections()
}

// byHeader believes what a header says.
type byHeader struct{}

func (byHeader) Authenticate(r *http.Request) (auth.User, bool, error) {
	switch name := r.Header.Get("User-Name"); name {
	case "nobody":
		return auth.User{}, false, nil
	case "":
		return auth.User{Name: "admin", Groups: []string{"system:masters"}}, true, nil
	default:
		return auth.User{Name: name, Groups: r.Header.Values("User-Groups")}, true, nil
	}
}

// notMice lets everybody do everything but mice.
type notMice struct{}

func (notMice) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	if r.User.Name == "mouse" {
		return auth.NoOpinion, "", nil
	}
	return auth.Allow, "", nil
}

func (notMice) RulesFor(auth.User, string) ([]rbacv1.PolicyRule, bool, error) { return nil, false, nil }

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// do sends one raw request: "POST /api/v1/…", headers as "Name: value", a body.
func (c *cluster) do(line string, body string, headers ...string) (*http.Response, string) {
	c.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader([]byte(body)))
	require.NoError(c.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp, string(b)
}
