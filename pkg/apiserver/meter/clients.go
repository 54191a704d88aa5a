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
		ResolverLatency:              lookups{set.Classic(prefix+"dns_resolution_duration_seconds", "Time of clients' look-ups of names.", bounds[:11:11], "host")},
		RateLimiterLatency:           latencies{set.Classic(prefix+"rate_limiter_duration_seconds", "How long clients held requests back.", bounds, "verb", "host")},
		TransportCacheEntries:        entries{set.Gauge(prefix+"transport_cache_entries", "Transports that clients share.").WithLabelValues()},
		TransportCreateCalls:         byResult{set.Counter(prefix+"transport_create_calls_total", "Transports asked for, by whether there was one.", "result")},
		TransportCacheGCCalls:        byResult{set.Counter(prefix+"transport_cache_gc_calls_total", "Transports that nobody had any longer, by what became of them.", "result")},
		TransportCAReloads:           reloads{set.Counter(prefix+"transport_ca_reload_total", "Authorities read again by clients.", "result", "reason")},
		TransportCertRotationGCCalls: ended{set.Counter(prefix+"transport_cert_rotation_gc_calls_total", "Clients' watches of certificates that ended with their transport.").WithLabelValues()},
		RequestLatency:               latencies{set.Classic(prefix+"request_duration_seconds", "Time of requests of clients.", bounds, "verb", "host")},
		RequestSize:                  bytes{set.Classic(prefix+"request_size_bytes", "Bytes of requests of clients.", sizes, "verb", "host")},
		ResponseSize:                 bytes{set.Classic(prefix+"response_size_bytes", "Bytes of answers to clients.", sizes, "verb", "host")},
		RequestResult:                results{set.Counter(prefix+"requests_total", "Requests of clients by how they were answered.", "code", "method", "host")},
		RequestRetry:                 retries{set.Counter(prefix+"request_retries_total", "Requests of clients that were made again.", "code", "verb", "host")},
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

type lookups struct{ *prometheus.HistogramVec }

func (m lookups) Observe(_ context.Context, host string, took time.Duration) {
	m.WithLabelValues(host).Observe(took.Seconds())
}

type entries struct{ prometheus.Gauge }

func (m entries) Observe(n int) { m.Set(float64(n)) }

type byResult struct{ *prometheus.CounterVec }

func (m byResult) Increment(result string) { m.WithLabelValues(result).Inc() }

type reloads struct{ *prometheus.CounterVec }

func (m reloads) Increment(result, reason string) { m.WithLabelValues(result, reason).Inc() }

type ended struct{ prometheus.Counter }

func (m ended) Increment() { m.Inc() }
