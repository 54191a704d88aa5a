package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/kubelet/cri"
)

// Config is what the server needs.
type Config struct {
	Addr        string
	Cert, Key   string
	ClientCA    string
	Runtime     cri.Runtime
	RuntimeName string
	Pods        Pods
	Logger      *slog.Logger
}

// Pods are those of the node.
type Pods interface {
	List() ([]*corev1.Pod, error)
	// Get returns a NotFound error for a pod that the node does not have.
	Get(namespace, name string) (*corev1.Pod, error)
}

// group is the one whose members may use the server.
const group = "system:masters"

// Run serves until ctx ends.
func Run(ctx context.Context, c Config) error {
	conf, err := c.tls()
	if err != nil {
		return fmt.Errorf("kubelet server: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("kubelet server: listen on %s: %w; is another kubelet running?", c.Addr, err)
	}
	s := &http.Server{
		Handler: c.handler(), TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 90 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// tls asks clients for a certificate. HTTP/2 is off: an upgraded connection is HTTP/1.1.
func (c Config) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", c.ClientCA)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}, nil
}

func (c Config) handler() http.Handler {
	r := chi.NewRouter()
	r.Use(authenticate)
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r.Get("/pods", c.pods)
	r.Get("/containerLogs/{namespace}/{pod}/{container}", c.logs)
	for path, h := range map[string]http.HandlerFunc{
		"/exec/{namespace}/{pod}/{container}":         c.exec,
		"/exec/{namespace}/{pod}/{uid}/{container}":   c.exec,
		"/attach/{namespace}/{pod}/{container}":       c.attach,
		"/attach/{namespace}/{pod}/{uid}/{container}": c.attach,
		"/portForward/{namespace}/{pod}":              c.portForward,
		"/portForward/{namespace}/{pod}/{uid}":        c.portForward,
	} {
		r.Get(path, h)
		r.Post(path, h)
	}
	return r
}

// authenticate lets clients of the group in, and nobody else.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.VerifiedChains) == 0 {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		who := r.TLS.VerifiedChains[0][0].Subject
		if !slices.Contains(who.Organization, group) {
			http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes)", who.CommonName, r.Method), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
