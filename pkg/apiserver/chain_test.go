package apiserver

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// odd is a store whose reads do something odd.
type odd struct {
	store.API
	get func(ctx context.Context) error
}

func (o odd) Get(ctx context.Context, key string, at store.ReadAt) (*store.Object, error) {
	if strings.Contains(key, "odd") {
		if err := o.get(ctx); err != nil {
			return nil, err
		}
	}
	return o.API.Get(ctx, key, at)
}

// oddly wraps the server's store.
func oddly(get func(context.Context) error) func(*Config) {
	return func(cfg *Config) { cfg.Store = odd{cfg.Store, get} }
}

func (c *cluster) status(line string, headers ...string) metav1.Status {
	_, body := c.do(line, "", headers...)
	var s metav1.Status
	require.NoError(c.t, json.Unmarshal([]byte(body), &s), body)
	return s
}

func TestPanicIsOneRequestsTrouble(t *testing.T) {
	c := start(t, oddly(func(context.Context) error { panic("at the disco") }))
	s := c.status("GET /api/v1/namespaces/default/configmaps/odd", "Audit-Id: 7")
	require.Equal(t, int32(500), s.Code)
	require.Contains(t, s.Message, "Audit-ID=7")
	require.Equal(t, int32(404), c.status("GET /api/v1/namespaces/default/configmaps/even").Code)
}

func TestDeadline(t *testing.T) {
	c := start(t, oddly(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	s := c.status("GET /api/v1/namespaces/default/configmaps/odd?timeout=10ms")
	require.Equal(t, int32(504), s.Code)
	require.Equal(t, metav1.StatusReasonTimeout, s.Reason)
}

// Who holds all seats of a level keeps others of it out, and nobody else.
func TestInFlight(t *testing.T) {
	inside, leave := make(chan struct{}, 1), make(chan struct{})
	c := start(t, func(cfg *Config) { cfg.MaxReads, cfg.MaxWrites = 1, 1 },
		oddly(func(context.Context) error { inside <- struct{}{}; <-leave; return nil }))
	var refused *http.Response
	var body string
	var held sync.WaitGroup
	for refused == nil { // of the level catch-all, which has no queues
		answered := make(chan struct{})
		var resp *http.Response
		var text string
		held.Go(func() {
			defer close(answered)
			resp, text = c.do("GET /api/v1/namespaces/default/configmaps/odd", "", "User-Name: first")
		})
		select {
		case <-inside:
		case <-answered:
			refused, body = resp, text
		}
	}
	require.Equal(t, http.StatusTooManyRequests, refused.StatusCode)
	require.Equal(t, "Too many requests, please try again later.\n", body)
	require.Equal(t, "text/plain; charset=utf-8", refused.Header.Get("Content-Type"))
	require.Equal(t, "1", refused.Header.Get("Retry-After"))
	// Who can repair an overload is let in.
	require.Equal(t, int32(404), c.status("GET /api/v1/namespaces/default/configmaps/even").Code)
	close(leave)
	held.Wait()
	require.Equal(t, int32(404), c.status("GET /api/v1/namespaces/default/configmaps/even", "User-Name: second").Code)
	fs, err := c.client.FlowcontrolV1().FlowSchemas().Get(t.Context(), "catch-all", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, string(fs.UID), refused.Header.Get("X-Kubernetes-PF-FlowSchema-UID"))
	level, err := c.client.FlowcontrolV1().PriorityLevelConfigurations().Get(t.Context(), "catch-all", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, string(level.UID), refused.Header.Get("X-Kubernetes-PF-PriorityLevel-UID"))
	require.Equal(t, flowcontrolv1.ConditionFalse, fs.Status.Conditions[0].Status)
}

// Stopping is told to load balancers first, and ends watches.
func TestStopping(t *testing.T) {
	c := start(t)
	next, stop := c.lines("/api/v1/configmaps?watch=true&resourceVersion=" + "0")
	defer stop()
	c.server.stop()
	for next() != "EOF" {
	}
	resp, body := c.do("GET /readyz", "")
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	require.Contains(t, body, "[-]shutdown failed")
	resp, _ = c.do("GET /livez", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	c := start(t)
	m := configMap("large")
	m.Data["k"] = strings.Repeat("x", gzipFrom)
	_, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), m, metav1.CreateOptions{})
	require.NoError(t, err)
	const path = "GET /api/v1/namespaces/default/configmaps"
	_, plain := c.do(path, "")
	resp, zipped := c.do(path, "", "Accept-Encoding: gzip")
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(strings.NewReader(zipped))
	require.NoError(t, err)
	unzipped, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, plain, string(unzipped))
}

// Cause travels: whoever sees a revision can learn what brought it about.
func TestCauses(t *testing.T) {
	c := start(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	_, body := c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`, "Traceparent: "+parent)
	var made metav1.PartialObjectMetadata
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	_, body = c.do("GET /debug/causes?revision="+made.ResourceVersion, "")
	var cause Cause
	require.NoError(t, json.Unmarshal([]byte(body), &cause))
	require.Equal(t, parent, cause.Traceparent)
	require.Equal(t, "create", cause.Verb)
	require.Equal(t, "admin", cause.User)
}

func TestCausesAreARing(t *testing.T) {
	k := newCauses()
	c := &call{t: &target{}}
	for rev := range int64(causesKept + 10) {
		k.note(rev, c)
	}
	_, old := k.find(9)
	require.False(t, old)
	for _, rev := range []int64{10, 11, causesKept - 1, causesKept, causesKept + 9} {
		found, ok := k.find(rev)
		require.True(t, ok, rev)
		require.Equal(t, rev, found.Revision)
	}
	require.Equal(t, int64(10), k.all()[0].Revision)
}

func TestMetrics(t *testing.T) {
	c := start(t)
	c.do("GET /api/v1/namespaces/default/configmaps/nobody", "")
	c.do("GET /api/v1/namespaces/default/nonsense/nobody", "")
	_, body := c.do("GET /metrics", "")
	require.Contains(t, body, `apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",`+
		`scope="resource",subresource="",verb="GET",version="v1"} 1`)
	require.Contains(t, body, `apiserver_current_inflight_requests{request_kind="readOnly"}`)
	require.NotContains(t, body, "nonsense")
}
