package encryption

import (
	"errors"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Metrics are upstream's, of values of resources that the configuration names. All methods of a nil one do nothing.
type Metrics struct {
	done  *prometheus.CounterVec
	times *prometheus.HistogramVec
	keys  *keyMetrics
}

// NewMetrics makes them in set, for the API server with that id.
func NewMetrics(set *meter.Set, serverID string) *Metrics {
	const prefix = "apiserver_storage_transformation_"
	return &Metrics{
		done: set.Counter(prefix+"operations_total", "Values encrypted and decrypted, by what did it and what came of it.",
			"resource", "status", "transformation_type", "transformer_prefix"),
		times: set.Histogram(prefix+"duration_seconds", "Time to encrypt or decrypt a value.", prometheus.ExponentialBuckets(5e-6, 2, 25),
			"transformation_type", "transformer_prefix"),
		keys: newKeyMetrics(set, serverID),
	}
}

// ofKeys are those of plugins and their keys, nil if there are none.
func (m *Metrics) ofKeys() *keyMetrics {
	if m == nil {
		return nil
	}
	return m.keys
}

// transformed counts one value.
func (m *Metrics) transformed(r schema.GroupResource, direction, prefix string, began time.Time, err error) {
	if m == nil {
		return
	}
	m.done.WithLabelValues(r.String(), codeOf(err), direction, prefix).Inc()
	if err == nil {
		m.times.WithLabelValues(direction, prefix).Observe(time.Since(began).Seconds())
	}
}

// codeOf is the code of a plugin's error; others have none.
func codeOf(err error) string {
	var from interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return codes.OK.String()
	case errors.As(err, &from):
		return from.GRPCStatus().Code().String()
	}
	return "unknown-non-grpc"
}
