package apiserver

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"bonsai/pkg/resource"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests count as upstream's count: when they have come to what they are for. Those that the chain refuses, or that name nothing
// served, are in the counters of authentication, authorization and fairness, and nobody who asks for nonsense makes new time series.

// surface is what a request has come to; the zero one is none.
type surface struct {
	reached bool
	// What it is counted by if it is no resource.
	page, path string
	// component is empty for what upstream's server has no part in: health, and documents that another part of it serves.
	component string
}

// ofResource is that of all resources of this server.
var ofResource = surface{reached: true, component: "apiserver"}

// surfaces are those that are no resources. Others are not counted, as upstream does not count them.
var surfaces = map[string]surface{
	"/healthz":     {reached: true, path: "/healthz"},
	"/livez":       {reached: true, path: "/livez"},
	"/readyz":      {reached: true, path: "/readyz"},
	"/openapi/v3":  {reached: true, path: "openapi/v3"},
	"/openapi/v3/": {reached: true, path: "openapi/v3/"},
	"/api":         {reached: true, path: "api", component: "apiserver"},
	"/apis":        {reached: true, path: "apis", component: "apiserver"},
	"/statusz":     {reached: true, page: "statusz", component: "apiserver"},
}

// surfaceAt is that of a path.
func surfaceAt(path string) surface {
	if strings.HasPrefix(path, "/openapi/v3/") {
		path = "/openapi/v3/"
	}
	return surfaces[path]
}

// seriesKey is what requests that are counted alike have in common.
type seriesKey struct {
	surface
	row             *resource.Row
	ver             *resource.Version
	verb, body      string
	sub, dry, scope string
	code            int
	sized           bool
}

// bodyVerbs are the verbs of requests that bring something, as upstream calls them where it counts what.
var bodyVerbs = map[string]string{"create": "create", "update": "update", "patch": "patch", "delete": "delete", "deletecollection": "delete_collection"}

// series are the counters of one seriesKey.
type series struct {
	total                prometheus.Counter
	duration, sli, sizes prometheus.Observer // sli is nil for dry runs, sizes for what does not read
	bodies               prometheus.Observer // nil for requests without
}

// of returns the counters of requests like c.
func (m *metrics) of(c *call) *series {
	k := keyOf(c)
	m.mu.RLock()
	s := m.series[k]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	s = m.resolve(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.series[k] = s
	return s
}

func keyOf(c *call) seriesKey {
	t := c.t
	k := seriesKey{surface: c.surface, dry: dryRunOf(c.r), code: c.w.status}
	if !t.isResource {
		k.verb, k.sub, k.sized = reportedVerb(c, ""), c.surface.path, true
		return k
	}
	k.row, k.ver, k.sub, k.scope, k.body = t.row, t.ver, t.sub, routeScope(t), bodyVerbs[t.verb]
	k.verb = reportedVerb(c, k.scope)
	k.sized = (t.verb == "get" || t.verb == "list" || t.verb == "watch" && t.row.Custom == nil) && !connects(t.sub)
	return k
}

// resolve finds the counters of k.
func (m *metrics) resolve(k seriesKey) *series {
	group, ver, name := "", "", k.page
	if k.row != nil {
		group, ver, name = k.ver.Group, k.ver.Version, k.row.Resource
	}
	labels := []string{k.verb, k.dry, group, ver, name, k.sub, k.scope, k.component}
	less := append([]string{k.verb}, labels[2:]...)
	s := &series{total: m.requests.WithLabelValues(append(labels, strconv.Itoa(k.code))...), duration: m.duration.WithLabelValues(labels...)}
	if k.dry == "" {
		s.sli = m.sli.WithLabelValues(less...)
	}
	if k.sized {
		s.sizes = m.sizes.WithLabelValues(less...)
	}
	if k.body != "" {
		s.bodies = m.bodies.WithLabelValues(group, name, k.body)
	}
	return s
}

// measure counts and times the request.
func (s *Server) measure(c *call, next handler) error {
	if err := next(c); err != nil {
		s.fail(c, err)
	}
	if c.surface.reached {
		s.metrics.count(c, s.now().Sub(c.start))
	}
	return nil
}

func (m *metrics) count(c *call, took time.Duration) {
	s := m.of(c)
	s.total.Inc()
	s.duration.Observe(took.Seconds())
	if c.pass != nil {
		took -= c.pass.Waited()
	}
	if took -= c.took.elsewhere(); s.sli != nil {
		s.sli.Observe(took.Seconds())
	}
	if s.sizes != nil {
		s.sizes.Observe(float64(c.w.size))
	}
	if s.bodies != nil && c.bodyRead {
		s.bodies.Observe(float64(c.bodySize))
	}
}

// opened counts a long-running request in; the returned function counts it out.
func (m *metrics) opened(c *call) func() {
	scope := scopeOf(c.t)
	open := m.longRunning.WithLabelValues(reportedVerb(c, scope), c.t.group, c.t.version, c.t.resource, c.t.sub, scope, "apiserver")
	open.Inc()
	return open.Dec
}

// plainLabels are those of a request that was ended before it could come to anything. What is not served has no name in them.
func (s *Server) plainLabels(c *call) (verb, group, version, resource, sub, scope string) {
	t := c.t
	scope = scopeOf(t)
	verb = reportedVerb(c, scope)
	if s.serves(t) {
		group, version, resource, sub = t.group, t.version, t.resource, t.sub
	}
	return
}

// dropped counts a request that was turned away.
func (s *Server) dropped(c *call) {
	verb, group, version, resource, sub, scope := s.plainLabels(c)
	s.metrics.requests.WithLabelValues(verb, dryRunOf(c.r), group, version, resource, sub, scope, "apiserver", "429").Inc()
	s.terminated(c, http.StatusTooManyRequests)
}

// terminated counts a request that the server has ended to protect itself.
func (s *Server) terminated(c *call, code int) {
	verb, group, version, resource, sub, scope := s.plainLabels(c)
	s.metrics.terminations.WithLabelValues("apiserver", strconv.Itoa(code), group, resource, scope, sub, verb, version).Inc()
}

// aborted counts a request whose connection is cut.
func (s *Server) aborted(c *call) {
	verb, group, version, resource, sub, scope := s.plainLabels(c)
	s.metrics.aborts.WithLabelValues(group, resource, scope, sub, verb, version).Inc()
}

// serves tells whether t is a resource of the table and, if it names one, a subresource of it.
func (s *Server) serves(t *target) bool {
	return t.row != nil && (t.sub == "" || partOf(t) != nil || t.sub == "scale" && t.row.Scale != nil ||
		t.group == "" && s.subresources[t.resource+"/"+t.sub] != nil)
}

// reportedVerb is the verb as upstream's metrics write it, for a request of that scope: from the method, by which a collection is deleted
// as one object is. All methods of no meaning here are one verb.
func reportedVerb(c *call, scope string) string {
	switch t := c.t; {
	case t.isResource && connects(t.sub):
		return "CONNECT"
	case t.verb == "watch", t.isResource && t.verb == "get" && strings.Contains(c.r.URL.RawQuery, "watch") && isTrue(c.r.URL.Query()["watch"]):
		return "WATCH"
	}
	switch method := c.r.Method; method {
	case http.MethodGet, http.MethodHead:
		if scope == "namespace" || scope == "cluster" {
			return "LIST"
		}
		return "GET"
	case http.MethodPatch:
		if c.r.Header.Get("Content-Type") == "application/apply-patch+yaml" {
			return "APPLY"
		}
		return method
	case http.MethodPost, http.MethodPut, http.MethodDelete:
		return method
	}
	return "other"
}

// connects tells whether requests for a subresource are passed on, and last.
func connects(sub string) bool {
	switch sub {
	case "log", "exec", "portforward", "attach", "proxy":
		return true
	}
	return false
}

// dryRunOf is what the query says of dry runs.
func dryRunOf(r *http.Request) string {
	if !strings.Contains(r.URL.RawQuery, "dryRun") {
		return ""
	}
	dry := ""
	for _, v := range r.URL.Query()["dryRun"] {
		if dry = v; v != "All" {
			return "invalid"
		}
	}
	return dry
}

// scopeOf is the extent of what a request names.
func scopeOf(t *target) string {
	switch {
	case !t.isResource:
		return ""
	case t.name != "" || t.verb == "create":
		return "resource"
	case t.namespace != "":
		return "namespace"
	}
	return "cluster"
}

// routeScope is the extent of what its handler serves: one that lists all of a kind does so also when a selector names one object. Custom
// kinds have one handler for all.
func routeScope(t *target) string {
	switch {
	case t.row.Custom != nil:
		return scopeOf(t)
	case t.named || t.verb != "list" && t.verb != "watch" && t.verb != "deletecollection":
		return "resource"
	case t.namespace != "":
		return "namespace"
	}
	return "cluster"
}
