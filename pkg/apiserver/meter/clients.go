package meter

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/metrics"
)

// Clients are upstream's metrics of REST clients: of all in this process, as client-go has one place for it, like those of the process
// itself. A server asks webhooks by them; where other components run in the same process, theirs are counted, too.
var Clients = sync.OnceValue(func() prometheus.Collector {
	set := New()
	bounds := []float64{.005, .025, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60}
	sizes := []float64{64, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216}
	const prefix = "rest_client_"
	metrics.Register(metrics.RegisterOpts{
		RequestLatency: latencies{set.Classic(prefix+"request_duration_seconds", "Time of requests of clients.", bounds, "verb", "host")},
		RequestSize:    bytes{set.Classic(prefix+"request_size_bytes", "Bytes of requests of clients.", sizes, "verb", "host")},
		ResponseSize:   bytes{set.Classic(prefix+"response_size_bytes", "Bytes of answers to clients.", sizes, "verb", "host")},
		RequestResult:  results{set.Counter(prefix+"requests_total", "Requests of clients by how they were answered.", "code", "method", "host")},
		RequestRetry:   retries{set.Counter(prefix+"request_retries_total", "Requests of clients that were made again.", "code", "verb", "host")},
	})
	return set
})

type latencies struct{ *prometheus.HistogramVec }

func (m latencies) Observe(_ context.Context, verb string, u url.URL, took time.Duration) {
	m.WithLabelValues(verb, u.Host).Observe(took.Seconds())
}

type bytes struct{ *prometheus.HistogramVec }

func (m bytes) Observe(_ context.Context, verb, host string, size float64) {
	m.WithLabelValues(verb, host).Observe(size)
}

type results struct{ *prometheus.CounterVec }

func (m results) Increment(_ context.Context, code, method, host string) {
	m.WithLabelValues(code, method, host).Inc()
}

type retries struct{ *prometheus.CounterVec }

func (m retries) IncrementRetry(_ context.Context, code, verb, host string) {
	m.WithLabelValues(code, verb, host).Inc()
}
