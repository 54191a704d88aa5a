package apiserver

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/aggregation"
	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/apiserver/openapi"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Aggregation is what the server needs to serve APIs of other servers.
type Aggregation struct {
	aggregation.Config
	// ProxyCA is the authority of Config.Client, and ClientCAs are those of clients' certificates at present, in PEM. Other servers read
	// them from a ConfigMap.
	ProxyCA   []byte
	ClientCAs func() []byte
}

var (
	apiServicesGR    = schema.GroupResource{Group: apiregistrationv1.GroupName, Resource: "apiservices"}
	endpointSlicesGR = schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}
	servicesGR       = schema.GroupResource{Resource: "services"}
	configMapsGR     = schema.GroupResource{Resource: "configmaps"}
	definitionsGR    = schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
)

const (
	autoregister = "kube-apiserver"
	// askEvery is how often a server that answers is asked again; one that does not is asked with every look.
	askEvery  = 10 * time.Second
	lookEvery = 30 * time.Second
)

// aggregate is the state of what is served elsewhere. Its zero value serves nothing.
type aggregate struct {
	services  *live.Kind[*apiregistrationv1.APIService] // nil in a table without them
	upstreams atomic.Pointer[aggregation.Upstreams]

	mu    sync.Mutex
	asked map[schema.GroupVersion]answer
}

// answer is what a server has last said.
type answer struct {
	at   time.Time
	docs *aggregation.Documents // the last good ones
	err  error
}

func (s *Server) followAPIServices() {
	if _, ok := s.rowOf(apiServicesGR); ok && s.cfg.Aggregation != nil {
		src := live.Source{Context: s.stopping, Store: s.store, Table: s.cfg.Table, Logger: s.log}
		s.aggregate.services = live.Follow[*apiregistrationv1.APIService](src, apiServicesGR)
		s.aggregate.asked = map[schema.GroupVersion]answer{}
	}
}

// elsewhere returns the server that t is for, nil if it is this one.
func (a *aggregate) elsewhere(t *target) *aggregation.Upstream {
	ups := a.upstreams.Load()
	if ups == nil || len(*ups) == 0 {
		return nil
	}
	if t.isResource {
		return (*ups)[schema.GroupVersion{Group: t.group, Version: t.version}]
	}
	path, ok := strings.CutPrefix(strings.TrimSuffix(strings.TrimPrefix(t.path, "/openapi/v3"), "/"), "/apis/")
	if !ok || strings.Count(path, "/") != 1 {
		return nil
	}
	group, version, _ := strings.Cut(path, "/")
	return (*ups)[schema.GroupVersion{Group: group, Version: version}]
}

// passOn hands the request to another server. A watch there is no work here.
func (c *call) passOn(u *aggregation.Upstream, now time.Time) error {
	if c.t.longRunning() && c.pass != nil {
		c.pass.Leave(now)
	}
	u.ServeHTTP(c.w, c.r)
	return nil
}

// documents are what discovery and OpenAPI list of other servers.
func (a *aggregate) documents() (elsewhere []discovery.Elsewhere, described openapi.Elsewhere) {
	ups := a.upstreams.Load()
	if ups == nil {
		return nil, described
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	described.V3 = map[string]string{}
	for gv, u := range *ups {
		e := discovery.Elsewhere{GroupVersion: gv, Stale: true, GroupPriority: u.GroupPriority, VersionPriority: u.VersionPriority}
		if said := a.asked[gv]; said.docs != nil {
			e.Resources, e.Stale = said.docs.Resources, said.err != nil || !u.Available
			if strings.HasPrefix(said.docs.V3, "/openapi/v3/") {
				described.V3["apis/"+gv.String()] = said.docs.V3
			}
			if said.docs.V2 != nil {
				described.V2 = append(described.V2, openapi.Document{Name: gv.String(), Hash: said.docs.V2Hash, Swagger: said.docs.V2})
			}
		}
		elsewhere = append(elsewhere, e)
	}
	return elsewhere, described
}

// keepLocal makes the APIServices of what this server serves itself.
func (s *Server) keepLocal(ctx context.Context) error {
	if s.aggregate.services == nil {
		return nil
	}
	if err := s.Refresh(); err != nil {
		return err
	}
	k := s.kinds.Load()
	var all errgroup.Group
	for _, a := range aggregation.PlanLocal(s.aggregate.services.All(), aggregation.ServedBy(k.table.Rows(), k.isCustom)) {
		s.log.Debug("API services", "reason", a.Reason)
		all.Go(func() error {
			switch {
			case a.Create != nil:
				a.Create.ManagedFields = aggregation.Owners(a.Create, autoregister, s.seconds())
				return s.ownCreate(ctx, a.Create, autoregister)
			case a.Update != nil:
				return s.ownUpdate(ctx, a.Update, "", autoregister)
			}
			return s.ownDelete(ctx, a.Delete)
		})
	}
	return all.Wait()
}

// keepAPIServices keeps local ones, asks the others, says what is available, and puts that into effect.
func (s *Server) keepAPIServices(ctx context.Context) error {
	a := &s.aggregate
	if a.services == nil {
		return nil
	}
	err := s.keepLocal(ctx)
	before := aggregation.Upstreams{}
	if p := a.upstreams.Load(); p != nil {
		before = *p
	}
	ups := aggregation.NewUpstreams(s.cfg.Aggregation.Config, a.services.All(), before)
	a.upstreams.Store(&ups)
	said := a.snapshot()
	var all errgroup.Group
	for _, svc := range a.services.All() {
		if u := ups[schema.GroupVersion{Group: svc.Spec.Group, Version: svc.Spec.Version}]; u != nil && svc.Spec.Service != nil {
			all.Go(func() error { return s.judge(ctx, svc, u) })
		}
	}
	err = errors.Join(err, all.Wait())
	a.forget(ups)
	if a.changed(before, ups, said) {
		err = errors.Join(err, s.refreshDocuments())
	}
	return err
}

// judge finds out whether one APIService is available, and says so in its status.
func (s *Server) judge(ctx context.Context, svc *apiregistrationv1.APIService, u *aggregation.Upstream) error {
	seen, err := s.seen(ctx, svc)
	if err != nil {
		return err
	}
	c, ask := aggregation.Judge(svc, seen)
	if ask {
		seen.Asked, seen.Err = true, s.aggregate.ask(ctx, u, s.now)
		c, _ = aggregation.Judge(svc, seen)
	}
	if next := aggregation.WithCondition(svc, c, s.seconds()); next != nil {
		return s.ownUpdate(ctx, next, "status", autoregister)
	}
	return nil
}

// seen reads the service of svc and its endpoints.
func (s *Server) seen(ctx context.Context, svc *apiregistrationv1.APIService) (seen aggregation.Seen, err error) {
	ref := svc.Spec.Service
	services, _ := s.rowOf(servicesGR)
	o, err := s.store.Get(ctx, services.Key(ref.Namespace, ref.Name), store.ReadAt{Kind: store.Any})
	if errors.Is(err, store.ErrNotFound) {
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	obj, err := load(services, o)
	if err != nil {
		return seen, err
	}
	seen.Service = obj.(*corev1.Service)
	row, _ := s.rowOf(endpointSlicesGR)
	page, err := s.store.List(ctx, row.KeyPrefix(ref.Namespace), store.ReadAt{Kind: store.Any}, store.ListOptions{
		Match: func(o *store.Object) bool { return o.Attrs.Labels.Get(discoveryv1.LabelServiceName) == ref.Name }})
	if err != nil {
		return seen, err
	}
	for _, o := range page.Objects {
		obj, err := load(row, o)
		if err != nil {
			return seen, err
		}
		seen.Slices = append(seen.Slices, obj.(*discoveryv1.EndpointSlice))
	}
	return seen, nil
}

// ask asks the server, unless it has answered a moment ago.
func (a *aggregate) ask(ctx context.Context, u *aggregation.Upstream, now func() time.Time) error {
	a.mu.Lock()
	last := a.asked[u.GroupVersion]
	a.mu.Unlock()
	if last.err == nil && now().Sub(last.at) < askEvery {
		return nil
	}
	docs, err := u.Ask(ctx, last.docs)
	if docs == nil {
		docs = last.docs
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[u.GroupVersion] = answer{at: now(), docs: docs, err: err}
	return err
}

func (a *aggregate) snapshot() map[schema.GroupVersion]answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.asked)
}

// forget drops what servers have said that are not there any longer.
func (a *aggregate) forget(ups aggregation.Upstreams) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.asked, func(gv schema.GroupVersion, _ answer) bool { return ups[gv] == nil })
}

// changed tells whether discovery has something else to say than before.
func (a *aggregate) changed(before, now aggregation.Upstreams, said map[schema.GroupVersion]answer) bool {
	if len(before) != len(now) {
		return true
	}
	says := a.snapshot()
	for gv, u := range now {
		old := before[gv]
		if old == nil || old.Available != u.Available || old.GroupPriority != u.GroupPriority || old.VersionPriority != u.VersionPriority {
			return true
		}
		was, is := said[gv], says[gv]
		if (was.err == nil) != (is.err == nil) || !sameDocuments(was.docs, is.docs) {
			return true
		}
	}
	return false
}

func sameDocuments(a, b *aggregation.Documents) bool {
	return string(compactJSON(a)) == string(compactJSON(b))
}

// publishTrust tells aggregated servers how to recognize this one, and whom it has authenticated.
func (s *Server) publishTrust(ctx context.Context) error {
	row, ok := s.rowOf(configMapsGR)
	if !ok || s.cfg.Aggregation == nil {
		return nil
	}
	want := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "extension-apiserver-authentication"}}
	want.Data = map[string]string{
		"client-ca-file":                     string(s.cfg.Aggregation.ClientCAs()),
		"requestheader-client-ca-file":       string(s.cfg.Aggregation.ProxyCA),
		"requestheader-allowed-names":        `["front-proxy-client"]`,
		"requestheader-username-headers":     `["X-Remote-User"]`,
		"requestheader-uid-headers":          `["X-Remote-Uid"]`,
		"requestheader-group-headers":        `["X-Remote-Group"]`,
		"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
	}
	o, err := s.store.Get(ctx, row.Key(want.Namespace, want.Name), store.ReadAt{})
	if errors.Is(err, store.ErrNotFound) {
		return s.ownCreate(ctx, want, autoregister)
	}
	if err != nil {
		return err
	}
	obj, err := load(row, o)
	if err != nil {
		return err
	}
	next := obj.DeepCopyObject().(*corev1.ConfigMap)
	if next.Data == nil {
		next.Data = map[string]string{}
	}
	maps.Copy(next.Data, want.Data)
	if maps.Equal(next.Data, obj.(*corev1.ConfigMap).Data) {
		return nil
	}
	return s.ownUpdate(ctx, resource.Object(next), "", autoregister)
}
