// Package integration drives a real API server as users do, through client-go over TLS: what pkg/cluster starts, on a store on
// disk, but without nodes, so that it needs no rights on the machine. Whatever can be told from the outside is told here; how
// a package does it is in the tests beside it.
package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/cluster/parts/apiserver"
	"bonsai/pkg/pki"
)

// inTime bounds every wait: far more than a loaded machine needs, far less than the test's own limit.
const inTime = 30 * time.Second

// server is an API server with its own data and authority. It can be stopped and started again on the same data.
type server struct {
	*testing.T
	dir     string
	options apiserver.Options
	config  *rest.Config // of the administrator
	client  kubernetes.Interface
	dynamic dynamic.Interface
	http    *http.Client // of the administrator

	cancel context.CancelFunc
	done   chan error
}

// startServer starts a server with its options changed.
func startServer(t *testing.T, change ...func(*apiserver.Options)) *server {
	t.Helper()
	s := newServer(t, change...)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// newServer makes all that a server needs, and clients for it.
func newServer(t *testing.T, change ...func(*apiserver.Options)) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "api") // short, as the path of a socket has to be
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	s := &server{T: t, dir: dir}
	s.options, err = optionsFor(dir, freePort(t))
	require.NoError(t, err)
	for _, f := range change {
		f(&s.options)
	}
	s.config = s.as(s.options.PKI.Kubeconfig)
	s.client, s.dynamic, s.http = clientOf(t, s.config), dynamic.NewForConfigOrDie(s.config), httpOf(t, s.config)
	return s
}

// optionsFor makes or finds a server's certificates.
func optionsFor(dir string, port int) (apiserver.Options, error) {
	address := net.IPv4(192, 0, 2, 1)
	certs, err := pki.Ensure(dir, pki.Options{
		Server: fmt.Sprintf("https://127.0.0.1:%d", port), NodeName: "n1", NodeIPs: []net.IP{address},
		ServiceIP: parts.ServiceIP, ClusterDomain: parts.ClusterDomain, Now: time.Now(),
	})
	return apiserver.Options{DataDir: dir, BindAddress: "127.0.0.1", Port: port, AdvertiseIP: address, PKI: certs}, err
}

// freePort returns one that the server can listen on, now and when it is started again. It is below those that the kernel gives to
// connections, of which one could have taken it by then.
func freePort(t *testing.T) int {
	for range 100 {
		port := 16000 + rand.IntN(16000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("of a hundred ports none is free")
	return 0
}

// start returns once the server is ready.
func (s *server) start() {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan error, 1)
	go func() { s.done <- apiserver.Run(ctx, s.options) }()
	s.untilReady()
}

func (s *server) untilReady() {
	s.Helper()
	s.until("the server is ready", func() bool {
		resp, err := s.http.Get(s.config.Host + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (s *server) stop() {
	s.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	require.NoError(s, <-s.done)
}

// as is the connection of a kubeconfig.
func (s *server) as(kubeconfig string) *rest.Config {
	s.Helper()
	c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(s, err)
	c.QPS = -1
	c.WarningHandler = rest.NoWarnings{}
	return c
}

// bearer is the connection of one who has a token, or, with none, nothing.
func (s *server) bearer(token string) *rest.Config {
	c := rest.AnonymousClientConfig(s.config)
	c.QPS, c.BearerToken = -1, token
	return c
}

// inProtobuf is c speaking the other encoding.
func inProtobuf(c *rest.Config) *rest.Config {
	c = rest.CopyConfig(c)
	c.ContentType, c.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	return c
}

func clientOf(t *testing.T, c *rest.Config) kubernetes.Interface {
	client, err := kubernetes.NewForConfig(c)
	require.NoError(t, err)
	return client
}

func httpOf(t *testing.T, c *rest.Config) *http.Client {
	client, err := rest.HTTPClientFor(c)
	require.NoError(t, err)
	return client
}

// until waits for a condition that no watch tells of. If it does not come about, it ends the test with what the stories tell.
func (s *server) until(what string, condition func() bool, stories ...func() string) {
	s.Helper()
	deadline := time.After(inTime)
	for tick := time.NewTicker(5 * time.Millisecond); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			for _, story := range stories {
				what += "\n" + story()
			}
			s.Fatalf("waited in vain until %s", what)
		}
	}
}

// answer is what came back to a raw request.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// send sends "METHOD PATH" with headers as "Name: value" as the administrator.
func (s *server) send(line string, body []byte, headers ...string) answer {
	s.Helper()
	return s.sendBy(s.http, line, body, headers...)
}

func (s *server) sendBy(client *http.Client, line string, body []byte, headers ...string) answer {
	s.Helper()
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(s.Context(), method, s.config.Host+path, bytes.NewReader(body))
	require.NoError(s, err)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	require.NoError(s, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(s, err)
	return answer{resp.StatusCode, resp.Header, b}
}

func (s *server) namespace(name string) {
	s.Helper()
	_, err := s.client.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	require.NoError(s, err)
}

func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}
