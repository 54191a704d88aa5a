package apiserver

import (
	"context"
	"strconv"
	"strings"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// stateCollector shows what the server's state is when somebody asks.
type stateCollector struct{ s *Server }

// stater is the part of the store that tells about it.
type stater interface {
	Stats() store.Stats
	Sizes(ctx context.Context) ([]int64, error)
}

var (
	inFlightDesc = prometheus.NewDesc("apiserver_current_inflight_requests", "Requests being worked on now.", []string{"request_kind"}, nil)
	objectsDesc  = prometheus.NewDesc("apiserver_storage_objects", "Objects in the store.", []string{"resource"}, nil)
	perKindDesc  = prometheus.NewDesc("apiserver_resource_objects", "Objects in the store.", []string{"group", "resource"}, nil)
	sizeDesc     = prometheus.NewDesc("apiserver_resource_size_estimate_bytes", "Bytes of the objects in the store.", []string{"group", "resource"}, nil)
	totalDesc    = prometheus.NewDesc("apiserver_storage_size_bytes", "Bytes of the database, which has older versions too.", []string{"storage_cluster_id"}, nil)
	cacheDesc    = prometheus.NewDesc("apiserver_watch_cache_resource_version", "The revision of the image.", []string{"group", "resource"}, nil)
	historyDesc  = prometheus.NewDesc("apiserver_watch_cache_capacity", "Changes that watches can resume from, of all kinds together.", nil, nil)
)

// Describe describes nothing: what there will be depends on what is stored.
func (c *stateCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(inFlightDesc, float64(c.s.metrics.reads.Load()), "readOnly")
	gauge(inFlightDesc, float64(c.s.metrics.writes.Load()), "mutating")
	from, ok := c.s.store.(stater)
	if !ok {
		return
	}
	st := from.Stats()
	gauge(historyDesc, float64(st.History))
	for _, row := range c.s.cfg.Table.Rows() {
		n := st.Objects[segmentOf(row)]
		gauge(objectsDesc, float64(n.Objects), schema.GroupResource{Group: row.Group(), Resource: row.Resource}.String())
		gauge(perKindDesc, float64(n.Objects), row.Group(), row.Resource)
		gauge(sizeDesc, float64(n.Bytes), row.Group(), row.Resource)
		gauge(cacheDesc, float64(st.Revision), row.Group(), row.Resource)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	sizes, err := from.Sizes(ctx)
	if err != nil {
		c.s.log.Warn("the size of the database is left out of metrics", "error", err)
	}
	for i, n := range sizes {
		gauge(totalDesc, float64(n), "etcd-"+strconv.Itoa(i))
	}
}

// segmentOf is the first segment of the keys of row's objects, by which the store counts.
func segmentOf(row *resource.Row) string {
	segment, _, _ := strings.Cut(row.Prefix, "/")
	return segment
}
