// Package meter gathers what the parts of an API server count, so that one /metrics shows it all. Each part makes its counters in the
// set of its server, by upstream's names and labels: two servers in one process count apart.
package meter

import (
	"crypto/sha256"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Set is the counters of one server. Make it with New. All is made in it before the server starts.
type Set struct{ list []prometheus.Collector }

// New returns an empty set.
func New() *Set { return &Set{} }

// Counter adds a counter for each combination of labels.
func (s *Set) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	return added(s, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

// Gauge adds a value for each combination of labels.
func (s *Set) Gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return added(s, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

// Histogram adds a distribution for each combination of labels.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return added(s, NewHistogram(name, help, bounds, labels...))
}

// Classic adds one that is counted by its bounds alone: those that upstream registers before it looks at feature gates.
func (s *Set) Classic(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return added(s, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels))
}

// NewHistogram makes a distribution that is counted twice: by its bounds, which any reader of metrics understands, and finely by powers of
// two (a native histogram), which is told to those that ask for protobuf. A bucket of these is a tenth wider than the one before it.
func NewHistogram(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, labels)
}

func added[C prometheus.Collector](s *Set, c C) C {
	s.list = append(s.list, c)
	return c
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(to chan<- *prometheus.Desc) {
	for _, c := range s.list {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(to chan<- prometheus.Metric) {
	for _, c := range s.list {
		c.Collect(to)
	}
}

// Hash is how labels show what is too long or too secret for one: a configuration, the name of a server.
func Hash(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data))
}
