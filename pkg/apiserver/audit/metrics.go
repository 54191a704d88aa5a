package audit

import (
	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Metrics are upstream's, of the audit. All methods of a nil one do nothing.
type Metrics struct {
	events, rejected prometheus.Counter
	errors, levels   *prometheus.CounterVec
}

// NewMetrics makes them in set.
func NewMetrics(set *meter.Set) *Metrics {
	const prefix = "apiserver_audit_"
	return &Metrics{
		events:   set.Counter(prefix+"event_total", "Audit events that were made.").WithLabelValues(),
		rejected: set.Counter(prefix+"requests_rejected_total", "Requests refused because they could not be written down.").WithLabelValues(),
		errors:   set.Counter(prefix+"error_total", "Audit events that were lost, by the plugin that lost them.", "plugin"),
		levels:   set.Counter(prefix+"level_total", "Requests by the level at which they are written down.", "level"),
	}
}

func (m *Metrics) event() {
	if m != nil {
		m.events.Inc()
	}
}

func (m *Metrics) level(l auditv1.Level) {
	if m != nil {
		m.levels.WithLabelValues(string(l)).Inc()
	}
}

func (m *Metrics) failed(plugin string, events int) {
	if m != nil {
		m.errors.WithLabelValues(plugin).Add(float64(events))
	}
}

// Rejected counts a request that was refused because it could not be written down.
func (m *Metrics) Rejected() {
	if m != nil {
		m.rejected.Inc()
	}
}
