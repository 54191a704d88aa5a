package allocator

import (
	"net/netip"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are upstream's, of what is planned for services: what the client chose is static, what it was given dynamic. All methods of a
// nil one do nothing.
type Metrics struct {
	ips, noIPs, ports, noPorts *prometheus.CounterVec
	times                      *prometheus.HistogramVec
}

// NewMetrics makes them in set.
func NewMetrics(set *meter.Set) *Metrics {
	const ips, ports = "kube_apiserver_clusterip_allocator_", "kube_apiserver_nodeport_allocator_"
	return &Metrics{
		ips:     set.Counter(ips+"allocation_total", "Addresses that services were given.", "cidr", "scope"),
		noIPs:   set.Counter(ips+"allocation_errors_total", "Addresses that could not be had.", "cidr", "scope"),
		times:   set.Histogram(ips+"allocation_duration_seconds", "Time to find an address.", prometheus.DefBuckets, "cidr"),
		ports:   set.Counter(ports+"allocation_total", "Node ports that services were given.", "scope"),
		noPorts: set.Counter(ports+"allocation_errors_total", "Node ports that could not be had.", "scope"),
	}
}

// How something came to be chosen.
const (
	static  = "static"
	dynamic = "dynamic"
)

// ip counts an address of a range that was wanted, and was to be had if ok.
func (m *Metrics) ip(cidr netip.Prefix, scope string, ok bool, took time.Duration) {
	if m == nil {
		return
	}
	m.times.WithLabelValues(cidr.String()).Observe(took.Seconds())
	if ok {
		m.ips.WithLabelValues(cidr.String(), scope).Inc()
	} else {
		m.noIPs.WithLabelValues(cidr.String(), scope).Inc()
	}
}

// port counts a node port.
func (m *Metrics) port(scope string, ok bool) {
	switch {
	case m == nil:
	case ok:
		m.ports.WithLabelValues(scope).Inc()
	default:
		m.noPorts.WithLabelValues(scope).Inc()
	}
}
