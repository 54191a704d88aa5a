package apiserver

import (
	"maps"
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
	aborts        *prometheus.CounterVec
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
		duration: meter.NewHistogram("apiserver_request_duration_seconds", "Time from request to answer; of a watch, until it has ended.",
			durationBounds, requestLabels...),
		sli: meter.NewHistogram("apiserver_request_sli_duration_seconds", "Time from request to answer without that in a queue and with webhooks; no dry runs.",
			sliBounds, without("dry_run")...),
		sizes: meter.NewHistogram("apiserver_response_sizes", "Bytes of answers to requests that read.", sizeBounds, without("dry_run")...),
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
		aborts: counterVec("apiserver_request_aborts_total", "Requests whose connection was cut.",
			"group", "resource", "scope", "subresource", "verb", "version"),
		storage:    newStorageMetrics(),
		handshakes: prometheus.NewCounter(prometheus.CounterOpts{Name: "apiserver_tls_handshake_errors_total", Help: "Connections that failed before they were encrypted."}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.sli, m.sizes, m.longRunning, m.watchers, m.watchEvents, m.watchSizes, m.deprecated, m.slowWatchers,
		m.terminations, m.aborts, m.bodies, m.handshakes, meter.Clients(), s.fairness, s.cfg.Counts, &stateCollector{s}, buildInfo(), versionOf(),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.storage.all()...)
	m.registry.MustRegister(s.cfg.Beside...)
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

// forget drops what is kept for a kind that is not served any longer.
func (m *metrics) forget(row *resource.Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storage.forget(row)
	maps.DeleteFunc(m.series, func(k seriesKey, _ *series) bool { return k.row == row })
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

// newFairness is the gate that s lets requests through.
func newFairness(c Config) *fairness.Fairness {
	return fairness.New(fairness.Config{Seats: c.MaxReads + c.MaxWrites, Wait: c.RequestTimeout / 4, Now: c.Now})
}
