package apiserver

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are upstream's, by name and labels, as far as dashboards use them.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	watchers *prometheus.GaugeVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "apiserver_request_total", Help: "Requests by what they were about and how they were answered.",
		}, []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "apiserver_request_duration_seconds", Help: "Time from request to answer, long-running requests left out.",
			Buckets: []float64{.005, .025, .05, .1, .2, .4, .6, .8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60},
		}, []string{"verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component"}),
		watchers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "apiserver_registered_watchers", Help: "Watches that are open now.",
		}, []string{"group", "version", "kind"}),
	}
	inflight := func(kind string, gate chan struct{}) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "apiserver_current_inflight_requests", Help: "Requests being worked on now.",
			ConstLabels: prometheus.Labels{"request_kind": kind},
		}, func() float64 { return float64(len(gate)) })
	}
	m.registry.MustRegister(m.requests, m.duration, m.watchers,
		inflight("readOnly", s.gates.reads), inflight("mutating", s.gates.writes),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// measure counts and times the request.
func (s *Server) measure(c *call, next handler) error {
	err := next(c)
	if err != nil {
		s.fail(c, err)
	}
	t := c.t
	if t.isResource && !s.serves(t) {
		t = &target{isResource: true}
	}
	labels := [...]string{metricVerb(t), dryRun(c), t.group, t.version, t.resource, t.sub, scopeOf(t), "apiserver"}
	s.metrics.requests.WithLabelValues(append(labels[:], strconv.Itoa(max(c.w.status, http.StatusOK)))...).Inc()
	if !t.longRunning() {
		s.metrics.duration.WithLabelValues(labels[:]...).Observe(s.now().Sub(c.start).Seconds())
	}
	return nil
}

// serves tells whether t is a resource of the table and, if it names one, a subresource of it.
func (s *Server) serves(t *target) bool {
	return t.row != nil && (t.sub == "" || partOf(t) != nil || t.sub == "scale" && t.row.Scale != nil ||
		t.group == "" && s.subresources[t.resource+"/"+t.sub] != nil)
}

// metricVerb is the verb as upstream's metrics write it. What names no served resource is one verb, and so are all methods of no
// meaning here, lest anybody who asks for nonsense makes new time series.
func metricVerb(t *target) string {
	switch verb := strings.ToUpper(t.verb); verb {
	case "GET", "LIST", "WATCH", "PATCH", "DELETE", "DELETECOLLECTION", "HEAD", "POST":
		return verb
	case "UPDATE":
		return "PUT"
	case "CREATE":
		return "POST"
	}
	return "other"
}

func dryRun(c *call) string {
	if strings.Contains(c.r.URL.RawQuery, "dryRun=All") {
		return "All"
	}
	return ""
}

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
