package node

import (
	"crypto/tls"
	"errors"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are upstream's, of logs: whether clients wanted the kubelet's certificate verified, and whether it was bad. All methods of a
// nil one do nothing.
type Metrics struct{ verified, trusted, bad prometheus.Counter }

// NewMetrics makes them in set.
func NewMetrics(set *meter.Set) *Metrics {
	const prefix = "kube_apiserver_pod_logs_"
	asked := set.Counter(prefix+"insecure_backend_total", "Requests for logs by what they want to know of the kubelet's certificate.", "usage")
	return &Metrics{
		verified: asked.WithLabelValues("enforce_tls"), trusted: asked.WithLabelValues("skip_tls_allowed"),
		bad: set.Counter(prefix+"backend_tls_failure_total", "Requests for logs that failed because the kubelet's certificate is bad.").WithLabelValues(),
	}
}

func (m *Metrics) asked(trusting bool) {
	switch {
	case m == nil:
	case trusting:
		m.trusted.Inc()
	default:
		m.verified.Inc()
	}
}

func (m *Metrics) failed(err error) {
	if bad := (*tls.CertificateVerificationError)(nil); m != nil && errors.As(err, &bad) {
		m.bad.Inc()
	}
}
