package apiserver

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"bonsai/pkg/apiserver/fairness"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/resource"
	"bonsai/pkg/version"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are upstream's, by name and labels, as far as dashboards use them. What a request is counted by is found once for all requests
// like it (series); what is a state is read when somebody asks (collect.go).
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	duration, sli *prometheus.HistogramVec
	sizes         *prometheus.HistogramVec
	bodies        *prometheus.HistogramVec
	longRunning   *prometheus.GaugeVec
	watchers      *prometheus.GaugeVec
	watchEvents   *prometheus.CounterVec
	watchSizes    *prometheus.HistogramVec
	deprecated    *prometheus.GaugeVec
	slowWatchers  *prometheus.CounterVec
	terminations  *prometheus.CounterVec
	storage       *storageMetrics
	handshakes    prometheus.Counter

	reads, writes atomic.Int64

	mu     sync.RWMutex
	series map[seriesKey]*series
}

var (
	requestLabels  = []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}
	durationBounds = []float64{.005, .025, .05, .1, .2, .4, .6, .8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}
	sizeBounds     = prometheus.ExponentialBuckets(1000, 10, 7)
	watchBounds    = prometheus.ExponentialBuckets(1024, 2, 8)
	sliBounds      = durationBounds[2:]
)

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func newMetrics(s *Server) *metrics {
	without := func(drop string) (out []string) {
		for _, l := range requestLabels {
			if l != drop {
				out = append(out, l)
			}
		}
		return out
	}
	m := &metrics{
		registry: prometheus.NewRegistry(), series: map[seriesKey]*series{},
		requests: counterVec("apiserver_request_total", "Requests by what they were about and how they were answered.",
			append(append([]string{}, requestLabels...), "code")...),
		duration: meter.NewHistogram("apiserver_request_duration_seconds", "Time from request to answer, long-running requests left out.",
			durationBounds, requestLabels...),
		sli: meter.NewHistogram("apiserver_request_sli_duration_seconds", "Time from request to answer without that in a queue and with webhooks; no dry runs.",
			sliBounds, without("dry_run")...),
		sizes: meter.NewHistogram("apiserver_response_sizes", "Bytes of answers, long-running requests left out.", sizeBounds, without("dry_run")...),
		bodies: meter.NewHistogram("apiserver_request_body_size_bytes", "Bytes of the bodies of requests.", prometheus.LinearBuckets(50000, 100000, 31),
			"group", "resource", "verb"),
		longRunning: gaugeVec("apiserver_longrunning_requests", "Long-running requests that are open now.", without("dry_run")...),
		watchers:    gaugeVec("apiserver_registered_watchers", "Watches that are open now.", "group", "version", "kind"),
		watchEvents: counterVec("apiserver_watch_events_total", "Events sent to watchers.", "group", "version", "resource"),
		watchSizes:  meter.NewHistogram("apiserver_watch_events_sizes", "Bytes of the objects in events.", watchBounds, "group", "version", "resource"),
		deprecated: gaugeVec("apiserver_requested_deprecated_apis", "Deprecated APIs that somebody has asked for.",
			"group", "version", "resource", "subresource", "removed_release"),
		slowWatchers: counterVec("apiserver_terminated_watchers_total", "Watches ended because their reader was too slow.",
			"group", "resource"),
		terminations: counterVec("apiserver_request_terminations_total", "Requests ended by the server to protect itself.",
			"component", "code", "group", "resource", "scope", "subresource", "verb", "version"),
		storage:    newStorageMetrics(),
		handshakes: prometheus.NewCounter(prometheus.CounterOpts{Name: "apiserver_tls_handshake_errors_total", Help: "Connections that failed before they were encrypted."}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.sli, m.sizes, m.longRunning, m.watchers, m.watchEvents, m.watchSizes, m.deprecated, m.slowWatchers,
		m.terminations, m.bodies, m.handshakes, meter.Clients(), s.fairness, s.cfg.Counts, &stateCollector{s}, buildInfo(), versionOf(),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.storage.all()...)
	return m
}

// buildInfo is the metric by which dashboards tell versions.
func buildInfo() prometheus.Collector {
	g := gaugeVec("kubernetes_build_info", "The version of this server.",
		"build_date", "compiler", "git_commit", "git_tree_state", "git_version", "go_version", "major", "minor", "platform")
	v := versionInfo()
	g.WithLabelValues(v.BuildDate, v.Compiler, v.GitCommit, v.GitTreeState, v.GitVersion, v.GoVersion, version.Major, version.Minor, v.Platform).Set(1)
	return g
}

// versionOf is the metric by which upstream tells the version of each component.
func versionOf() prometheus.Collector {
	g := gaugeVec("version_info", "The version of this server, and those that it works with.", "binary", "component", "emulation", "min_compat")
	v := versionInfo()
	own := v.Major + "." + v.Minor
	g.WithLabelValues(own, "kube", v.EmulationMajor+"."+v.EmulationMinor, v.MinCompatibilityMajor+"."+v.MinCompatibilityMinor).Set(1)
	return g
}

// seriesKey is what requests that are counted alike have in common.
type seriesKey struct {
	row             *resource.Row
	ver             *resource.Version
	verb, sub       string
	dry, resourceIs bool
	scope           string
	code            int
}

// bodyVerbs are the verbs of requests that bring something, as upstream calls them where it counts what.
var bodyVerbs = map[string]string{"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "DELETECOLLECTION": "delete_collection"}

// series are the counters of one seriesKey.
type series struct {
	total                prometheus.Counter
	duration, sli, sizes prometheus.Observer
	bodies               prometheus.Observer // nil for requests without
	open                 prometheus.Gauge
}

// of returns the counters of requests like c. What names nothing served is counted as one, lest anybody who asks for nonsense makes
// new time series.
func (m *metrics) of(c *call, served bool) *series {
	t := c.t
	k := seriesKey{verb: metricVerb(t), dry: isDryRun(c), code: c.w.status}
	if k.resourceIs = t.isResource && served; k.resourceIs {
		k.row, k.ver, k.sub, k.scope = t.row, t.ver, t.sub, scopeOf(t)
	}
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

// resolve finds the counters of k.
func (m *metrics) resolve(k seriesKey) *series {
	group, ver, name, dry := "", "", "", ""
	if k.resourceIs {
		group, ver, name = k.ver.Group, k.ver.Version, k.row.Resource
	}
	if k.dry {
		dry = "All"
	}
	labels := []string{k.verb, dry, group, ver, name, k.sub, k.scope, "apiserver"}
	less := append([]string{k.verb}, labels[2:]...)
	s := &series{open: m.longRunning.WithLabelValues(less...)}
	if k.code != 0 {
		s.total = m.requests.WithLabelValues(append(labels, strconv.Itoa(k.code))...)
		s.duration = m.duration.WithLabelValues(labels...)
		if !k.dry {
			s.sli = m.sli.WithLabelValues(less...)
		}
		s.sizes = m.sizes.WithLabelValues(less...)
		if verb := bodyVerbs[k.verb]; verb != "" && k.resourceIs {
			s.bodies = m.bodies.WithLabelValues(group, name, verb)
		}
	}
	return s
}

// forget drops what is kept for a kind that is not served any longer.
func (m *metrics) forget(row *resource.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storage.forget(row)
	maps.DeleteFunc(m.series, func(k seriesKey, _ *series) bool { return k.row == row })
}

// measure counts and times the request.
func (s *Server) measure(c *call, next handler) error {
	served := s.serves(c.t)
	long := c.t.longRunning()
	if long {
		open := s.metrics.of(c, served).open
		open.Inc()
		defer open.Dec()
	}
	if err := next(c); err != nil {
		s.fail(c, err)
	}
	if c.w.status == 0 {
		c.w.status = 200
	}
	counters := s.metrics.of(c, served)
	counters.total.Inc()
	if long {
		return nil
	}
	took := s.now().Sub(c.start)
	counters.duration.Observe(took.Seconds())
	if c.pass != nil {
		took -= c.pass.Waited()
	}
	if took -= c.elsewhere; counters.sli != nil {
		counters.sli.Observe(took.Seconds())
	}
	counters.sizes.Observe(float64(c.w.size))
	if counters.bodies != nil && c.bodyRead {
		counters.bodies.Observe(float64(c.bodySize))
	}
	return nil
}

// dropped counts a request that was turned away.
func (m *metrics) dropped(c *call) {
	t := c.t
	labels := []string{"apiserver", "429", "", "", scopeOf(t), "", metricVerb(t), ""}
	if t.row != nil {
		labels[2], labels[3], labels[7] = t.row.Group(), t.row.Resource, t.version
	}
	m.terminations.WithLabelValues(labels...).Inc()
}

// inFlight is the count of requests like those of verb that are worked on now.
func (m *metrics) inFlight(verb string) *atomic.Int64 {
	if isRead(verb) {
		return &m.reads
	}
	return &m.writes
}

// watching counts a watch in; the returned function counts it out.
func (m *metrics) watching(t *target) func() {
	g := m.watchers.WithLabelValues(t.group, t.version, t.row.Kind)
	g.Inc()
	return g.Dec
}

// deprecates tells the client that what it asks for is deprecated, and remembers that somebody does. None has a release without it yet.
func (s *Server) deprecates(c *call) {
	c.warn(c.t.row.Deprecated)
	c.record.Annotate("k8s.io/deprecated", "true")
	s.metrics.deprecated.WithLabelValues(c.t.group, c.t.version, c.t.resource, c.t.sub, "").Set(1)
}

// serves tells whether t is a resource of the table and, if it names one, a subresource of it.
func (s *Server) serves(t *target) bool {
	return t.row != nil && (t.sub == "" || partOf(t) != nil || t.sub == "scale" && t.row.Scale != nil ||
		t.group == "" && s.subresources[t.resource+"/"+t.sub] != nil)
}

// metricVerb is the verb as upstream's metrics write it. All methods of no meaning here are one verb.
func metricVerb(t *target) string {
	switch t.verb {
	case "get":
		return "GET"
	case "list":
		return "LIST"
	case "watch":
		return "WATCH"
	case "patch":
		return "PATCH"
	case "delete":
		return "DELETE"
	case "deletecollection":
		return "DELETECOLLECTION"
	case "head":
		return "HEAD"
	case "update", "put":
		return "PUT"
	case "create", "post":
		return "POST"
	}
	return "other"
}

func isDryRun(c *call) bool { return strings.Contains(c.r.URL.RawQuery, "dryRun=All") }

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

// newFairness is the gate that s lets requests through.
func newFairness(c Config) *fairness.Fairness {
	return fairness.New(fairness.Config{Seats: c.MaxReads + c.MaxWrites, Wait: c.RequestTimeout / 4, Now: c.Now})
}
