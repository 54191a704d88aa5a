package apiserver

import (
	"sync"
	"time"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/prometheus/client_golang/prometheus"
)

// Upstream's metrics of storage, as far as they mean something where one image holds all kinds: what its watch cache does for one kind,
// the image does for it here. What a list is counted by is found once for all lists like it.

type storageMetrics struct {
	lists, looked, returned *prometheus.CounterVec // with where from
	cacheLists, cacheLooked *prometheus.CounterVec
	cacheReturned           *prometheus.CounterVec
	evaluated, consistent   *prometheus.CounterVec
	waits                   *prometheus.HistogramVec
	initial                 *prometheus.CounterVec
	watchLists              *prometheus.HistogramVec
	requests, failures      *prometheus.CounterVec
	times                   *prometheus.HistogramVec

	byList  sync.Map // listKey → *listCounters
	byWrite sync.Map // writeKey → *writeCounters
}

func newStorageMetrics() *storageMetrics {
	return &storageMetrics{
		lists:         counterVec("apiserver_storage_list_total", "Lists, by where they were read.", "group", "index", "resource", "storage"),
		looked:        counterVec("apiserver_storage_list_fetched_objects_total", "Objects that were read for lists.", "group", "index", "resource", "storage"),
		evaluated:     counterVec("apiserver_storage_list_evaluated_objects_total", "Objects that were tried for lists.", "group", "resource", "storage"),
		returned:      counterVec("apiserver_storage_list_returned_objects_total", "Objects that lists are made of.", "group", "resource", "storage"),
		cacheLists:    counterVec("apiserver_cache_list_total", "Lists from the image.", "group", "index", "resource"),
		cacheLooked:   counterVec("apiserver_cache_list_fetched_objects_total", "Objects of the image that were looked at for lists.", "group", "index", "resource"),
		cacheReturned: counterVec("apiserver_cache_list_returned_objects_total", "Objects of the image that lists are made of.", "group", "resource"),
		consistent: counterVec("apiserver_watch_cache_consistent_read_total", "Lists of the newest state from the image.",
			"fallback", "group", "resource", "success"),
		waits: meter.NewHistogram("apiserver_watch_cache_read_wait_seconds", "How long lists waited until the image was as new as they wanted.",
			durationBounds[:13], "group", "resource"),
		initial: counterVec("apiserver_init_events_total", "Events by which watches were told the state that they begin with.", "group", "resource"),
		watchLists: meter.NewHistogram("apiserver_watch_list_duration_seconds", "Time until a watch had been told the state that it asked for.",
			append(sliBounds[:len(sliBounds):len(sliBounds)], 90, 120, 180, 300), "group", "resource", "scope", "version"),
		requests: counterVec("etcd_requests_total", "Writes to etcd.", "group", "operation", "resource"),
		failures: counterVec("etcd_request_errors_total", "Writes to etcd that failed.", "group", "operation", "resource"),
		times:    meter.NewHistogram("etcd_request_duration_seconds", "Time of writes to etcd.", durationBounds, "group", "operation", "resource"),
	}
}

func (m *storageMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.lists, m.looked, m.evaluated, m.returned, m.cacheLists, m.cacheLooked, m.cacheReturned, m.consistent,
		m.waits, m.initial, m.watchLists, m.requests, m.failures, m.times}
}

// listKey is what lists that are counted alike have in common.
type listKey struct {
	row    *resource.Row
	index  string
	past   bool
	newest bool
}

type listCounters struct {
	lists, looked, evaluated, returned     prometheus.Counter
	cacheLists, cacheLooked, cacheReturned prometheus.Counter // nil for lists of what the image no longer has
	consistent                             prometheus.Counter // nil for those that do not ask for the newest state
	waits                                  prometheus.Observer
}

// listed counts a list.
func (m *storageMetrics) listed(row *resource.Row, l *listing, at store.ReadAt, p *store.Page) {
	k := listKey{row: row, past: p.Past, newest: at.Kind == store.Newest}
	if l.term != nil {
		k.index = "f:" + l.term.Field
	}
	found, ok := m.byList.Load(k)
	if !ok {
		found, _ = m.byList.LoadOrStore(k, m.resolve(k))
	}
	c := found.(*listCounters)
	looked, returned := float64(p.Looked), float64(len(p.Objects))
	c.lists.Inc()
	c.looked.Add(looked)
	c.evaluated.Add(looked)
	c.returned.Add(returned)
	if c.consistent != nil {
		c.consistent.Inc()
	}
	if c.cacheLists == nil {
		return
	}
	c.cacheLists.Inc()
	c.cacheLooked.Add(looked)
	c.cacheReturned.Add(returned)
	if at.Kind != store.Any {
		c.waits.Observe(p.Waited.Seconds())
	}
}

func (m *storageMetrics) resolve(k listKey) *listCounters {
	group, name, from := k.row.Group(), k.row.Resource, "watchcache"
	if k.past {
		from = "etcd"
	}
	c := &listCounters{
		lists: m.lists.WithLabelValues(group, k.index, name, from), looked: m.looked.WithLabelValues(group, k.index, name, from),
		evaluated: m.evaluated.WithLabelValues(group, name, from), returned: m.returned.WithLabelValues(group, name, from),
	}
	if k.newest {
		c.consistent = m.consistent.WithLabelValues("false", group, name, "true")
	}
	if !k.past {
		c.cacheLists, c.cacheLooked = m.cacheLists.WithLabelValues(group, k.index, name), m.cacheLooked.WithLabelValues(group, k.index, name)
		c.cacheReturned, c.waits = m.cacheReturned.WithLabelValues(group, name), m.waits.WithLabelValues(group, name)
	}
	return c
}

// began counts that a watch has been told the state it begins with, in so many events.
func (m *storageMetrics) began(c *call, l *listing, events int, now time.Time) {
	m.initial.WithLabelValues(c.t.row.Group(), c.t.row.Resource).Add(float64(events))
	if l.SendInitialEvents != nil && *l.SendInitialEvents {
		m.watchLists.WithLabelValues(c.t.group, c.t.resource, scopeOf(c.t), c.t.version).Observe(now.Sub(c.start).Seconds())
	}
}

// writeKey is what writes that are counted alike have in common.
type writeKey struct {
	row       *resource.Row
	operation string
}

type writeCounters struct {
	total, failed prometheus.Counter
	time          prometheus.Observer
}

// wrote notes how long a write to etcd took.
func (m *storageMetrics) wrote(operation string, row *resource.Row, took time.Duration, err error) {
	k := writeKey{row, operation}
	found, ok := m.byWrite.Load(k)
	if !ok {
		labels := []string{row.Group(), operation, row.Resource}
		found, _ = m.byWrite.LoadOrStore(k, &writeCounters{m.requests.WithLabelValues(labels...), m.failures.WithLabelValues(labels...),
			m.times.WithLabelValues(labels...)})
	}
	c := found.(*writeCounters)
	c.total.Inc()
	if c.time.Observe(took.Seconds()); err != nil {
		c.failed.Inc()
	}
}

// forget drops what is kept for a kind that is not served any longer.
func (m *storageMetrics) forget(row *resource.Row) {
	m.byList.Range(func(k, _ any) bool {
		if k.(listKey).row == row {
			m.byList.Delete(k)
		}
		return true
	})
	m.byWrite.Range(func(k, _ any) bool {
		if k.(writeKey).row == row {
			m.byWrite.Delete(k)
		}
		return true
	})
}
