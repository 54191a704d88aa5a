package fairness

import (
	"sync"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of upstream, by name and labels. What changes with each request is a counter of the flow schema, found once when the
// configuration changes; what is the state of a level is read when somebody asks (collect).

var seconds = []float64{0, .005, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30}

type metrics struct {
	mu          sync.Mutex
	bySchema    map[[2]string]*schemaCounters
	waits, runs *prometheus.HistogramVec
	seats       *prometheus.HistogramVec
	rejected    *prometheus.CounterVec
}

// schemaCounters are of one flow schema and its level. They outlive both, as counters must not fall.
type schemaCounters struct {
	level, schema     string
	dispatched        atomic.Int64
	inQueue, seatsIn  atomic.Int64
	running, seats    atomic.Int64
	waited, notServed prometheus.Observer
	took, width       prometheus.Observer
	rejected          *prometheus.CounterVec
}

const subsystem = "apiserver_flowcontrol_"

func newMetrics() *metrics {
	labels := []string{"priority_level", "flow_schema"}
	histogram := func(name, help string, buckets []float64, more ...string) *prometheus.HistogramVec {
		return meter.NewHistogram(subsystem+name, help, buckets, append(append([]string{}, labels...), more...)...)
	}
	return &metrics{
		bySchema: map[[2]string]*schemaCounters{},
		waits:    histogram("request_wait_duration_seconds", "How long requests stood in a queue.", seconds, "execute"),
		runs:     histogram("request_execution_seconds", "How long requests were worked on.", seconds, "type"),
		seats: histogram("work_estimated_seats", "How many seats requests were estimated to take.",
			[]float64{1, 2, 4, 8, 16, 32, 64, 100}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: subsystem + "rejected_requests_total", Help: "Requests that were turned away.",
		}, append(append([]string{}, labels...), "reason")),
	}
}

func (m *metrics) of(level, schema string) *schemaCounters {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{level, schema}
	if c := m.bySchema[key]; c != nil {
		return c
	}
	c := &schemaCounters{
		level: level, schema: schema, rejected: m.rejected,
		waited: m.waits.WithLabelValues(level, schema, "true"), notServed: m.waits.WithLabelValues(level, schema, "false"),
		took: m.runs.WithLabelValues(level, schema, "regular"), width: m.seats.WithLabelValues(level, schema),
	}
	m.bySchema[key] = c
	return c
}

func (c *schemaCounters) queued(t *ticket, by int64) {
	c.inQueue.Add(by)
	c.seatsIn.Add(by * int64(t.work.most()))
}

func (c *schemaCounters) begun(p *Pass) {
	c.dispatched.Add(1)
	c.running.Add(1)
	c.seats.Add(int64(p.ticket.work.most()))
	c.waited.Observe(p.Waited().Seconds())
	c.width.Observe(float64(p.ticket.work.most()))
}

func (c *schemaCounters) ended(p *Pass, now time.Time) {
	c.running.Add(-1)
	c.seats.Add(-int64(p.ticket.work.most()))
	c.took.Observe(now.Sub(p.ticket.started).Seconds())
}

func (c *schemaCounters) refused(reason string, p *Pass, now time.Time) {
	c.rejected.WithLabelValues(c.level, c.schema, reason).Inc()
	if !p.ticket.arrived.IsZero() {
		c.notServed.Observe(now.Sub(p.ticket.arrived).Seconds())
	}
}

// Describe and Collect make a Fairness a prometheus.Collector.
func (f *Fairness) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(f, ch) }

// Collect implements prometheus.Collector.
func (f *Fairness) Collect(ch chan<- prometheus.Metric) {
	m := f.metrics
	for _, c := range []prometheus.Collector{m.waits, m.runs, m.seats, m.rejected} {
		c.Collect(ch)
	}
	m.mu.Lock()
	for _, c := range m.bySchema {
		c.collect(ch)
	}
	m.mu.Unlock()
	for name, l := range f.rules.Load().levels {
		l.collect(ch, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(fairFrac, prometheus.GaugeValue, f.fraction)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(subsystem+name, help, labels, nil)
}

var (
	fairFrac       = desc("seat_fair_frac", "The part of what they want that levels are given.")
	dispatchedDesc = desc("dispatched_requests_total", "Requests that were let in.", "priority_level", "flow_schema")
	schemaGauges   = []struct {
		desc *prometheus.Desc
		read func(*schemaCounters) int64
	}{
		{desc("current_inqueue_requests", "Requests that wait.", "priority_level", "flow_schema"),
			func(c *schemaCounters) int64 { return c.inQueue.Load() }},
		{desc("current_inqueue_seats", "Seats that requests wait for.", "priority_level", "flow_schema"),
			func(c *schemaCounters) int64 { return c.seatsIn.Load() }},
		{desc("current_executing_requests", "Requests that are worked on.", "priority_level", "flow_schema"),
			func(c *schemaCounters) int64 { return c.running.Load() }},
		{desc("current_executing_seats", "Seats that are taken.", "priority_level", "flow_schema"),
			func(c *schemaCounters) int64 { return c.seats.Load() }},
	}
	levelGauges = []struct {
		desc *prometheus.Desc
		read func(*level) float64
	}{
		{desc("nominal_limit_seats", "Seats by configuration.", "priority_level"), func(l *level) float64 { return float64(l.bounds.nominal) }},
		{desc("lower_limit_seats", "Seats that are never lent.", "priority_level"), func(l *level) float64 { return float64(l.bounds.low) }},
		{desc("upper_limit_seats", "Seats with all that may be borrowed.", "priority_level"), func(l *level) float64 { return float64(l.bounds.high) }},
		{desc("current_limit_seats", "Seats now.", "priority_level"), func(l *level) float64 { return float64(l.set.limit) }},
		{desc("demand_seats_high_watermark", "The most seats wanted in the last period.", "priority_level"), func(l *level) float64 { return l.seen.high }},
		{desc("demand_seats_average", "Seats wanted in the last period, on average.", "priority_level"), func(l *level) float64 { return l.seen.average }},
		{desc("demand_seats_stdev", "Standard deviation of the seats wanted in the last period.", "priority_level"), func(l *level) float64 { return l.seen.deviation }},
		{desc("demand_seats_smoothed", "Seats wanted, smoothed.", "priority_level"), func(l *level) float64 { return l.smoothed }},
		{desc("current_r", "Virtual time.", "priority_level"), func(l *level) float64 { return l.set.r }},
	}
)

func (c *schemaCounters) collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(dispatchedDesc, prometheus.CounterValue, float64(c.dispatched.Load()), c.level, c.schema)
	for _, g := range schemaGauges {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(g.read(c)), c.level, c.schema)
	}
}

func (l *level) collect(ch chan<- prometheus.Metric, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range levelGauges {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.read(l), name)
	}
}
