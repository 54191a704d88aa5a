package apiserver

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/allocator"
	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/fairness"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/node"
	"bonsai/pkg/apiserver/openapi"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
)

// Config is all that a Server is made of.
type Config struct {
	Store store.API
	// Table holds the kinds to serve.
	Table *resource.Registry

	Authenticator auth.Authenticator
	// Audit writes down who did what; nil if nobody wants to know.
	Audit      *audit.Auditor
	Authorizer auth.Authorizer
	Admission  admission.Chain
	// Reviews are the kinds that are answered and not stored.
	Reviews []auth.Review
	// Policy returns the roles and bindings that every cluster has; nil if it has none.
	Policy func() []resource.Object
	// Tokens makes service account tokens and tells others how to check them; nil if the server makes none.
	Tokens Tokens
	// Allocator hands out service addresses and node ports; nil if objects need nothing besides their own bytes.
	Allocator *allocator.Allocator
	// Aggregation serves the APIs of other servers; nil if there are none.
	Aggregation *Aggregation
	// Connect reaches kubelets, pods and services; nil if the server has no way to.
	Connect Connector

	// Components are the parts of the control plane, besides etcd, whose health componentstatuses tells.
	Components []Component
	// Definer makes the kinds of CustomResourceDefinitions; nil if the table has all there are.
	Definer Definer

	// Address is the HOST:PORT where clients reach the server, which /api tells them.
	Address string
	// ServiceIP is that of the service "kubernetes" in the namespace default, AdvertiseIP and AdvertisePort what it leads to.
	// Without a ServiceIP there is no such service.
	ServiceIP, AdvertiseIP string
	// ServiceCIDR is the range that Allocator gives services their addresses from, which the ServiceCIDR "kubernetes" tells clients.
	ServiceCIDR   string
	AdvertisePort int32

	// MaxReads and MaxWrites together are the seats that priority and fairness divide. Defaults: 400 and 200.
	MaxReads, MaxWrites int
	// MaxWatches and MaxWatchesPerUser bound the watches that are open at once. Defaults: 20000 and 2000.
	MaxWatches, MaxWatchesPerUser int
	// WatchStall is how long the client of a watch may take nothing of what is written to it. Default: 30 seconds.
	WatchStall time.Duration
	// RequestTimeout bounds those that are not long-running. Default: a minute.
	RequestTimeout time.Duration

	// Counts is what the parts of the server count by themselves, which /metrics shows too; nil if they do not.
	Counts *meter.Set
	// Beside is what other parts of the process count, for the same /metrics.
	Beside []prometheus.Collector

	// HealthChecks are asked by /healthz, /livez and /readyz, besides the server's own.
	HealthChecks []HealthCheck

	Now    func() time.Time
	Logger *slog.Logger
}

// Tokens issues service account tokens, and publishes the key that proves them.
type Tokens interface {
	Issue(ctx context.Context, sa *corev1.ServiceAccount, req *authenticationv1.TokenRequest) (credential string, err error)
	ServeOpenIDConfig(w http.ResponseWriter, r *http.Request)
	ServeJWKS(w http.ResponseWriter, r *http.Request)
}

// HealthCheck is a named question about the health of something that the server cannot do without.
type HealthCheck struct {
	Name string
	Ask  func(context.Context) error
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

	// kinds is what is served now, put in place under installing. rows are those that are always in it.
	kinds      atomic.Pointer[kinds]
	installing sync.Mutex
	rows       []*resource.Row
	// described is the last OpenAPI that was asked for: most of it is that of the next kinds too.
	described atomic.Pointer[openapi.Service]

	finders      admission.Finders
	fields       *fieldTracker
	moulds       moulds
	templates    bodyTemplates
	fairness     *fairness.Fairness
	flow         *flowControl
	aggregate    aggregate
	hooks        []*hook
	watches      *watches
	metrics      *metrics
	slis         *slis
	identity     identityMetrics
	modes        passedModes
	causes       *causes
	timings      []*timing
	began        time.Time
	mux          *http.ServeMux
	otherNames   []string // of mux, as / lists them
	handler      http.Handler
	subresources map[string]map[string]handler
	reviews      map[*resource.Row]func(context.Context, auth.User, resource.Object) error
	// computed are the handlers, by verb, of kinds that are kept nowhere.
	computed map[*resource.Row]map[string]handler

	// ready is set once the server may be sent work, and unset before it stops; stopping ends the watches.
	ready    atomic.Bool
	stopping context.Context
	stop     context.CancelFunc
	tasks    sync.WaitGroup
}

// New returns a server for c. It does nothing until its Handler is asked.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	s := &Server{
		cfg: c, log: c.Logger, now: c.Now, store: c.Store,
		fields: newFieldTracker(c.Now), fairness: newFairness(c), watches: newWatches(c.MaxWatches, c.MaxWatchesPerUser),
		causes: newCauses(), modes: newPassedModes(), reviews: map[*resource.Row]func(context.Context, auth.User, resource.Object) error{},
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.flow = s.newFlowControl()
	s.followAPIServices()
	s.hooks = s.startHooks()
	s.finders = c.Admission.Finders()
	s.cfg.Admission = admission.Chain{admission.Measure(c.Admission, s.cfg.Counts)}
	s.slis, s.began = newSLIs(), c.Now()
	s.identity = newIdentityMetrics(c.Counts)
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
	if c.MaxWatches == 0 {
		c.MaxWatches = 20_000
	}
	if c.MaxWatchesPerUser == 0 {
		c.MaxWatchesPerUser = 2000
	}
	if c.WatchStall == 0 {
		c.WatchStall = 30 * time.Second
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = time.Minute
	}
	if c.Counts == nil {
		c.Counts = meter.New()
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
	s.rows = slices.Clone(s.cfg.Table.Rows())
	for _, r := range s.cfg.Reviews {
		s.rows = append(s.rows, r.Row)
		s.reviews[r.Row] = r.Answer
	}
	s.computed = s.computedKinds()
	s.rows = append(s.rows, slices.SortedFunc(maps.Keys(s.computed), func(a, b *resource.Row) int { return strings.Compare(a.Kind, b.Kind) })...)
	first, err := s.newKinds(nil)
	if err != nil {
		return err
	}
	s.kinds.Store(first)
	s.mux = s.otherPaths()
	return nil
}

// Handler returns the whole chain.
func (s *Server) Handler() http.Handler { return s.handler }
