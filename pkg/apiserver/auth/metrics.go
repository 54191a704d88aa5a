package auth

import (
	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are upstream's, of credentials. All methods of a nil one do nothing.
type Metrics struct {
	valid, legacy         prometheus.Counter
	auto, manual, invalid prometheus.Counter // of the legacy ones
	left                  prometheus.Observer
}

// hour is in seconds, as bounds are.
const hour = 3600.0

// NewMetrics makes them in set.
func NewMetrics(set *meter.Set) *Metrics {
	return &Metrics{
		valid:   set.Counter("serviceaccount_valid_tokens_total", "Tokens of service accounts, bound to objects, that were good.").WithLabelValues(),
		legacy:  set.Counter("serviceaccount_legacy_tokens_total", "Tokens of service accounts from secrets that were good.").WithLabelValues(),
		auto:    set.Counter("serviceaccount_legacy_auto_token_uses_total", "Tokens from secrets that were made for accounts unasked.").WithLabelValues(),
		manual:  set.Counter("serviceaccount_legacy_manual_token_uses_total", "Tokens from secrets that somebody asked for.").WithLabelValues(),
		invalid: set.Counter("serviceaccount_invalid_legacy_auto_token_uses_total", "Tokens from secrets that are marked as invalid.").WithLabelValues(),
		left: set.Histogram("apiserver_client_certificate_expiration_seconds", "Time that the certificates of clients are still good for.",
			[]float64{0, hour / 2, hour, 2 * hour, 6 * hour, 12 * hour, 24 * hour, 48 * hour, 96 * hour, 168 * hour, 720 * hour, 2160 * hour, 4320 * hour, 8640 * hour}).
			WithLabelValues(),
	}
}

func (m *Metrics) token() {
	if m != nil {
		m.valid.Inc()
	}
}

func (m *Metrics) legacyToken(auto bool) {
	if m == nil {
		return
	}
	m.legacy.Inc()
	if auto {
		m.auto.Inc()
	} else {
		m.manual.Inc()
	}
}

func (m *Metrics) invalidToken() {
	if m != nil {
		m.invalid.Inc()
	}
}

func (m *Metrics) certificate(secondsLeft float64) {
	if m != nil {
		m.left.Observe(secondsLeft)
	}
}
