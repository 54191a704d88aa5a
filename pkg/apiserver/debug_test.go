package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every page that the index names is there, in both forms, and only for those who may.
func TestDebugPages(t *testing.T) {
	c := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/v1/configmaps?watch=true", nil)
	require.NoError(t, err)
	watch, err := c.http.Do(req)
	require.NoError(t, err)
	defer watch.Body.Close()
	_, index := c.do("GET /debug/", "")
	for line := range strings.Lines(index) {
		path := strings.Fields(line)[0]
		if path == "PAGE" || path == "/debug/pprof/" {
			continue
		}
		resp, body := c.do("GET "+path, "")
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.NotEmpty(t, body, path)
		resp, _ = c.do("GET "+path, "", "User-Name: mouse")
		require.Equal(t, http.StatusForbidden, resp.StatusCode, path)
	}
	_, store := c.do("GET /debug/store", "")
	require.Regexp(t, `(?m)^namespaces +4 +\d+ +\d+$`, store)
	_, watches := c.do("GET /debug/watches", "")
	require.Regexp(t, `(?m)^/registry/configmaps/ +admin +Go-http-client `, watches)
	resp, html := c.do("GET /debug/start", "", "Accept: text/html")
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Contains(t, html, "<td>start-system-namespaces-controller</td><td>true</td>")
	_, levels := c.do("GET /debug/api_priority_and_fairness/dump_priority_levels", "")
	require.Regexp(t, `(?m)^PriorityLevelName, +ActiveQueues, +IsIdle, +IsQuiescing, +WaitingRequests, +ExecutingRequests, +`+
		`DispatchedRequests, +RejectedRequests, +TimedoutRequests, +CancelledRequests$`, levels)
	require.Regexp(t, `(?m)^exempt, +0, +false, +false, +0, +1, `, levels)
}

// Of 64 requests one passes the clocks, and each step's time is its own.
func TestTimings(t *testing.T) {
	c := start(t)
	for range 2 * timedEvery {
		c.do("GET /version", "")
	}
	rows := c.server.timingRows()
	require.Equal(t, "measure", rows[0][0])
	require.Equal(t, "the verb", rows[len(rows)-1][0])
	for _, row := range rows {
		require.Contains(t, []string{"2", "3"}, row[1], row[0])
	}
	var x timing
	for i := range 100 {
		x.add(time.Duration(i) * time.Microsecond)
	}
	require.InDelta(t, float64(50*time.Microsecond), float64(x.percentile(.5)), float64(20*time.Microsecond))
	require.Equal(t, time.Duration(1<<17), x.percentile(.99))
}

func TestHealth(t *testing.T) {
	c := start(t)
	for path, want := range map[string]string{
		"/livez":              "ok",
		"/readyz/ping":        "ok",
		"/healthz/etcd":       "ok",
		"/healthz/nothing":    "404 page not found\n",
		"/livez?exclude=etcd": "ok",
		"/healthz/poststarthook/start-system-namespaces-controller": "ok",
	} {
		_, body := c.do("GET "+path, "")
		require.Equal(t, want, body, path)
	}
	_, body := c.do("GET /livez?verbose&exclude=etcd&exclude=odd&exclude=even", "")
	require.Contains(t, body, "[+]etcd excluded: ok\n")
	require.True(t, strings.HasSuffix(body, `warn: some health checks cannot be excluded: no matches for "even","odd"`+"\nlivez check passed\n"), body)
	c.server.hooks[0].done.Store(false)
	resp, body := c.do("GET /readyz", "")
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	require.Contains(t, body, "[-]poststarthook/start-system-namespaces-controller failed: reason withheld\n")
	require.True(t, strings.HasSuffix(body, "readyz check failed\n"))
	_, body = c.do("GET /readyz/poststarthook/start-system-namespaces-controller", "")
	require.Equal(t, "internal server error: not finished\n", body)
}

// TestSLIs: what the checks have found is counted by check, endpoint and result.
func TestSLIs(t *testing.T) {
	c := start(t)
	c.do("GET /livez?exclude=log", "")
	c.server.hookNamed("bootstrap-controller").done.Store(false)
	c.do("GET /readyz", "")
	_, body := c.do("GET /metrics/slis", "")
	require.Contains(t, body, `kubernetes_healthcheck{name="ping",type="livez"} 1`)
	require.NotContains(t, body, `name="log",type="livez"`)
	require.Contains(t, body, `kubernetes_healthcheck{name="poststarthook/bootstrap-controller",type="readyz"} 0`)
	require.Contains(t, body, `kubernetes_healthchecks_total{name="poststarthook/bootstrap-controller",status="error",type="readyz"} 1`)
	require.NotContains(t, body, "apiserver_request_total")
}

func TestStatusz(t *testing.T) {
	c := start(t)
	_, body := c.do("GET /statusz", "", "Accept: text/plain")
	require.True(t, strings.HasPrefix(body, "\napiserver statusz\nWarning: "), body)
	require.Regexp(t, `(?m)^Up: 0 hr 0\d min \d\d sec$`, body)
	for accept, want := range map[string]string{
		"":                 "text/plain; charset=utf-8",
		"application/json": typeJSON,
		"image/png, */*":   "text/plain; charset=utf-8",
		"application/json;v=v1beta1;g=config.k8s.io;as=Statusz":  "application/json;g=config.k8s.io;v=v1beta1;as=Statusz",
		"application/yaml;v=v1alpha1;g=config.k8s.io;as=Statusz": "application/yaml;g=config.k8s.io;v=v1alpha1;as=Statusz",
		"application/json;v=v9;g=config.k8s.io;as=Statusz":       typeJSON,
	} {
		resp, body := c.do("GET /statusz", "", "Accept: "+accept)
		require.Equal(t, want, resp.Header.Get("Content-Type"), accept)
		require.Equal(t, strings.HasSuffix(want, "=Statusz") && strings.Contains(accept, "v1alpha1"), resp.Header.Get("Warning") != "", accept)
		if want == typeJSON {
			require.Equal(t, http.StatusNotAcceptable, resp.StatusCode)
			require.Contains(t, body, "only the following media types are accepted: application/json, application/yaml, text/plain")
		}
	}
	require.Equal(t, "26 hr 03 min 09 sec", uptime(26*time.Hour+3*time.Minute+9*time.Second+time.Millisecond))
}

func TestMetricsByName(t *testing.T) {
	c := start(t)
	c.do("GET /api/v1/namespaces/default/endpoints", "")
	c.do("GET /api/v1/namespaces/default/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1&timeoutSeconds=1", "")
	c.do("POST /api/v1/namespaces/default/configmaps?dryRun=All", `{"metadata":{"name":"a"}}`)
	c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`)
	_, body := c.do("GET /metrics", "")
	for _, line := range []string{
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="201",component="apiserver",dry_run="All",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_current_inflight_requests{request_kind="readOnly"} 1`,
		`apiserver_current_inflight_requests{request_kind="mutating"} 0`,
		`apiserver_storage_objects{resource="configmaps"} 1`,
		`apiserver_flowcontrol_dispatched_requests_total{flow_schema="exempt",priority_level="exempt"} 5`,
		`apiserver_flowcontrol_nominal_limit_seats{priority_level="workload-low"} 245`,
		`apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1`,
		`apiserver_watch_events_sizes_count{group="",resource="configmaps",version="v1"} 1`,
		`apiserver_watch_events_total{group="",resource="configmaps",version="v1"} 1`,
		`etcd_request_duration_seconds_count{group="",operation="create",resource="configmaps"} 1`,
		`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="validate"}`,
		`apiserver_request_sli_duration_seconds_count{component="apiserver",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_body_size_bytes_count{group="",resource="configmaps",verb="create"} 2`,
		`apiserver_cache_list_total{group="",index="",resource="endpoints"} 1`,
		`apiserver_storage_list_total{group="",index="",resource="endpoints",storage="watchcache"} 1`,
		`apiserver_watch_cache_consistent_read_total{fallback="false",group="",resource="endpoints",success="true"} 1`,
		`apiserver_watch_cache_read_wait_seconds_count{group="",resource="endpoints"} 1`,
		`apiserver_watch_list_duration_seconds_count{group="",resource="configmaps",scope="namespace",version="v1"} 1`,
		`etcd_requests_total{group="",operation="create",resource="configmaps"} 1`,
		`apiserver_current_inqueue_requests{request_kind="readOnly"} 0`,
		`apiserver_tls_handshake_errors_total 0`,
	} {
		require.Contains(t, body, line)
	}
	for _, name := range []string{"apiserver_request_duration_seconds_bucket", "apiserver_request_sli_duration_seconds_bucket",
		"apiserver_response_sizes_bucket", "apiserver_flowcontrol_request_wait_duration_seconds_bucket", "kubernetes_build_info",
		"apiserver_storage_size_bytes", "process_resident_memory_bytes", "go_goroutines", "apiserver_watch_cache_resource_version",
		"watch_cache_capacity", "version_info", "apiserver_request_filter_duration_seconds_bucket", "go_sched_goroutines_goroutines"} {
		require.Regexp(t, "(?m)^"+name+"[{ ]", body)
	}
}

// TestNativeHistograms: distributions are counted by their bounds and finely, but for those of admission.
func TestNativeHistograms(t *testing.T) {
	c := start(t)
	c.do("POST /api/v1/namespaces/default/configmaps", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`)
	resp, _ := c.do("GET /metrics", "", "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	require.Contains(t, resp.Header.Get("Content-Type"), "application/vnd.google.protobuf")
	families, err := c.server.metrics.registry.Gather()
	require.NoError(t, err)
	native := map[string]bool{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h.GetSampleCount() > 0 && len(h.GetBucket()) > 0 {
				native[f.GetName()] = h.GetSchema() == 3 && len(h.GetPositiveSpan()) > 0
			}
		}
	}
	for name, want := range map[string]bool{
		"apiserver_request_duration_seconds": true, "apiserver_request_filter_duration_seconds": true,
		"apiserver_flowcontrol_request_execution_seconds": true,
		"etcd_request_duration_seconds":                   true, "apiserver_admission_step_admission_duration_seconds": false,
		"apiserver_admission_controller_admission_duration_seconds": false,
	} {
		got, counted := native[name]
		require.Equal(t, []bool{want, true}, []bool{got, counted}, name)
	}
}
