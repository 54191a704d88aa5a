package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/allocator"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/apiserver/node"
	"bonsai/pkg/apiserver/openapi"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
)

// Config is all that a Server is made of.
type Config struct {
	Store store.API
	// Table holds the kinds to serve.
	Table *resource.Registry

	Authenticator auth.Authenticator
	Authorizer    auth.Authorizer
	Admission     admission.Chain
	// Reviews are the kinds that are answered and not stored.
	Reviews []auth.Review
	// Tokens makes service account tokens and tells others how to check them; nil if the server makes none.
	Tokens Tokens
	// Allocator hands out service addresses and node ports; nil if objects need nothing besides their own bytes.
	Allocator *allocator.Allocator
	// Connect reaches kubelets, pods and services; nil if the server has no way to.
	Connect Connector

	// Address is the HOST:PORT where clients reach the server, which /api tells them.
	Address string
	// ServiceIP is that of the service "kubernetes" in the namespace default, AdvertiseIP and AdvertisePort what it leads to.
	// Without a ServiceIP there is no such service.
	ServiceIP, AdvertiseIP string
	AdvertisePort          int32

	// MaxReads and MaxWrites bound the requests in flight. Defaults: 400 and 200.
	MaxReads, MaxWrites int
	// RequestTimeout bounds those that are not long-running. Default: a minute.
	RequestTimeout time.Duration

	Now    func() time.Time
	Logger *slog.Logger
}

// Tokens issues service account tokens, and publishes the key that proves them.
type Tokens interface {
	Issue(ctx context.Context, sa *corev1.ServiceAccount, req *authenticationv1.TokenRequest) error
	ServeOpenIDConfig(w http.ResponseWriter, r *http.Request)
	ServeJWKS(w http.ResponseWriter, r *http.Request)
}

// Connector serves the subresources that lead out of the API server: log, exec, attach, portforward, proxy. An error is for
// what went wrong before the answer began.
type Connector interface {
	Connect(w http.ResponseWriter, r *http.Request, to node.Connection) error
}

// Server is the API server. Make it with New.
type Server struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	store store.API
	table *resource.Registry

	fields       *fieldTracker
	moulds       moulds
	gates        gates
	metrics      *metrics
	causes       *causes
	discovery    *discovery.Documents
	mux          *http.ServeMux
	handler      http.Handler
	subresources map[string]map[string]handler
	reviews      map[*resource.Row]func(context.Context, auth.User, resource.Object) error

	// ready is set once the server may be sent work, and unset before it stops; stopping ends the watches.
	ready    atomic.Bool
	stopping context.Context
	stop     context.CancelFunc
}

// New returns a server for c. It does nothing until its Handler is asked.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	s := &Server{
		cfg: c, log: c.Logger, now: c.Now, store: c.Store,
		fields: newFieldTracker(c.Table, c.Now), gates: newGates(c.MaxReads, c.MaxWrites),
		causes: newCauses(), reviews: map[*resource.Row]func(context.Context, auth.User, resource.Object) error{},
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.metrics = newMetrics(s)
	if err := s.addKinds(); err != nil {
		return nil, err
	}
	s.subresources = s.specialSubresources()
	s.handler = s.chained(s.route)
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.MaxReads == 0 {
		c.MaxReads = 400
	}
	if c.MaxWrites == 0 {
		c.MaxWrites = 200
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// addKinds makes everything that follows from the table: what can be found by URL, and the documents that describe it.
func (s *Server) addKinds() error {
	stored := s.cfg.Table.Rows()
	rows := append([]*resource.Row{}, stored...)
	for _, r := range s.cfg.Reviews {
		rows = append(rows, r.Row)
		s.reviews[r.Row] = r.Answer
	}
	var err error
	if s.table, err = resource.NewRegistry(rows); err != nil {
		return err
	}
	if s.discovery, err = discovery.New(rows, s.cfg.Address); err != nil {
		return fmt.Errorf("make the discovery documents: %w", err)
	}
	docs, err := openapi.New(rows)
	if err != nil {
		return fmt.Errorf("make the OpenAPI documents: %w", err)
	}
	s.mux = s.otherPaths(docs)
	return nil
}

// Handler returns the whole chain.
func (s *Server) Handler() http.Handler { return s.handler }
