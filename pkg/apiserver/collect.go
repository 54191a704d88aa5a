package apiserver

import (
	"context"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"bonsai/pkg/apiserver/aggregation"
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
	inFlightDesc   = prometheus.NewDesc("apiserver_current_inflight_requests", "Requests being worked on now.", []string{"request_kind"}, nil)
	inQueueDesc    = prometheus.NewDesc("apiserver_current_inqueue_requests", "Requests that wait for their turn.", []string{"request_kind"}, nil)
	objectsDesc    = prometheus.NewDesc("apiserver_storage_objects", "Objects in the store.", []string{"resource"}, nil)
	perKindDesc    = prometheus.NewDesc("apiserver_resource_objects", "Objects in the store.", []string{"group", "resource"}, nil)
	sizeDesc       = prometheus.NewDesc("apiserver_resource_size_estimate_bytes", "Bytes of the objects in the store.", []string{"group", "resource"}, nil)
	totalDesc      = prometheus.NewDesc("apiserver_storage_size_bytes", "Bytes of the database, which has older versions too.", []string{"storage_cluster_id"}, nil)
	cacheDesc      = prometheus.NewDesc("apiserver_watch_cache_resource_version", "The revision of the image.", []string{"group", "resource"}, nil)
	historyDesc    = prometheus.NewDesc("watch_cache_capacity", "Changes that watches can resume from, of all kinds together.", []string{"group", "resource"}, nil)
	apiServiceDesc = prometheus.NewDesc("aggregator_unavailable_apiservice", "Whether an API cannot be had: 1 if so.", []string{"name"}, nil)
	allocatedDesc  = prometheus.NewDesc("kube_apiserver_clusterip_allocator_allocated_ips", "Addresses of services that are taken.", []string{"cidr"}, nil)
	portsDesc      = prometheus.NewDesc("kube_apiserver_nodeport_allocator_allocated_ports", "Node ports that are taken.", nil, nil)
	freePortsDesc  = prometheus.NewDesc("kube_apiserver_nodeport_allocator_available_ports", "Node ports that are free.", nil, nil)
	freeDesc       = prometheus.NewDesc("kube_apiserver_clusterip_allocator_available_ips", "Addresses of services that are free.", []string{"cidr"}, nil)
	heardDesc      = prometheus.NewDesc("apiserver_storage_events_received_total", "Changes that etcd has told of.", []string{"group", "resource"}, nil)
	takenDesc      = prometheus.NewDesc("apiserver_watch_cache_events_received_total", "Changes that the image has taken.", []string{"group", "resource"}, nil)
	handedDesc     = prometheus.NewDesc("apiserver_watch_cache_events_dispatched_total", "Changes that were handed to who watches.", []string{"group", "resource"}, nil)
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
	reads, writes := c.s.fairness.Waiting()
	gauge(inQueueDesc, float64(reads), "readOnly")
	gauge(inQueueDesc, float64(writes), "mutating")
	c.services(gauge)
	c.addresses(gauge)
	c.ports(gauge)
	from, ok := c.s.store.(stater)
	if !ok {
		return
	}
	st := from.Stats()
	for _, row := range c.s.cfg.Table.Rows() {
		n := st.Objects[segmentOf(row)]
		gauge(objectsDesc, float64(n.Objects), schema.GroupResource{Group: row.Group(), Resource: row.Resource}.String())
		gauge(perKindDesc, float64(n.Objects), row.Group(), row.Resource)
		gauge(sizeDesc, float64(n.Bytes), row.Group(), row.Resource)
		gauge(cacheDesc, float64(st.Revision), row.Group(), row.Resource)
		gauge(historyDesc, float64(st.History), row.Group(), row.Resource)
		if changes := st.Changes[segmentOf(row)]; changes > 0 {
			for _, d := range []*prometheus.Desc{heardDesc, takenDesc, handedDesc} {
				ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(changes), row.Group(), row.Resource)
			}
		}
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

// services tells which APIs of other servers cannot be had now; those of this server always can.
func (c *stateCollector) services(gauge func(*prometheus.Desc, float64, ...string)) {
	if c.s.aggregate.services == nil {
		return
	}
	for _, a := range c.s.aggregate.services.All() {
		missing := 1.0
		if aggregation.IsAvailable(a) {
			missing = 0
		}
		gauge(apiServiceDesc, missing, a.Name)
	}
}

// addresses tells how many addresses of services are taken.
func (c *stateCollector) addresses(gauge func(*prometheus.Desc, float64, ...string)) {
	cidr, err := netip.ParsePrefix(c.s.cfg.ServiceCIDR)
	row, ok := c.s.rowOf(schema.GroupResource{Group: "networking.k8s.io", Resource: "ipaddresses"})
	if err != nil || !ok || cidr.Addr().Is6() {
		return
	}
	page, err := c.s.store.List(context.Background(), row.KeyPrefix(""), store.ReadAt{Kind: store.Any}, store.ListOptions{})
	if err != nil {
		return
	}
	taken := 0
	for _, o := range page.Objects {
		if a, err := netip.ParseAddr(path.Base(o.Key)); err == nil && cidr.Contains(a) {
			taken++
		}
	}
	gauge(allocatedDesc, float64(taken), cidr.String())
	gauge(freeDesc, float64(int(1)<<(32-cidr.Bits())-2-taken), cidr.String()) // its first and last are no addresses
}

// ports tells how many node ports are taken.
func (c *stateCollector) ports(gauge func(*prometheus.Desc, float64, ...string)) {
	if c.s.cfg.Allocator == nil {
		return
	}
	if taken, free, err := c.s.cfg.Allocator.Ports(context.Background()); err == nil {
		gauge(portsDesc, float64(taken))
		gauge(freePortsDesc, float64(free))
	}
}

// segmentOf is the first segment of the keys of row's objects, by which the store counts.
func segmentOf(row *resource.Row) string {
	segment, _, _ := strings.Cut(row.Prefix, "/")
	return segment
}
