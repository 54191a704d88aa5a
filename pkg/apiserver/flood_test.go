package apiserver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One user lists everything, many times at once and without end. A node goes on to renew its lease, a controller to hold its leadership:
// not one of their requests is turned away. What waits is bounded: the flood's own hand of queues.
func TestFloodOfLists(t *testing.T) {
	c := start(t, func(cfg *Config) { cfg.MaxReads, cfg.MaxWrites = 12, 4 })
	c.fill(1500)
	node := c.holder("a", "User-Name: system:node:a", "User-Groups: system:nodes")
	manager := c.holder("m", "User-Name: system:kube-controller-manager", "User-Groups: system:authenticated")
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var served, refused, others atomic.Int64
	flooding := make(chan struct{})
	var first sync.Once
	for range 100 {
		flood.Go(func() {
			for ctx.Err() == nil {
				switch c.greedyList(ctx) {
				case 0: // the flood is over
				case http.StatusOK:
					served.Add(1)
					first.Do(func() { close(flooding) })
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					others.Add(1)
				}
			}
		})
	}
	<-flooding
	for i := range 60 {
		for _, renew := range []func() (int, string){node, manager} {
			code, body := renew()
			require.Equal(t, http.StatusOK, code, "renewal %d: %s", i, body)
		}
		waiting, executing := c.load("workload-low")
		require.LessOrEqual(t, waiting, 6*50)
		require.LessOrEqual(t, executing, 16+8)
	}
	stop()
	flood.Wait()
	t.Logf("lists served %d, refused %d", served.Load(), refused.Load())
	require.Zero(t, others.Load())
}

// holder makes a lease and returns what renews it.
func (c *cluster) holder(name string, who ...string) (renew func() (code int, body string)) {
	const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	lease := func(version string) string {
		return `{"metadata":{"name":"` + name + `"` + version + `},"spec":{"holderIdentity":"me","leaseDurationSeconds":40}}`
	}
	version := regexp.MustCompile(`"resourceVersion":"\d+"`)
	resp, last := c.do("POST "+leases, lease(""))
	require.Equal(c.t, http.StatusCreated, resp.StatusCode)
	return func() (int, string) {
		resp, body := c.do("PUT "+leases+"/"+name, lease(","+version.FindString(last)), who...)
		last = body
		return resp.StatusCode, body
	}
}

// greedyList lists all pods as a service account; 0 if it got no answer.
func (c *cluster) greedyList(ctx context.Context) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/api/v1/pods", nil)
	if err != nil {
		return 0
	}
	req.Header.Set("User-Name", "system:serviceaccount:default:greedy")
	req.Header.Set("User-Groups", "system:serviceaccounts")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// load is how many requests of a priority level wait, and how many are served.
func (c *cluster) load(level string) (waiting, executing int) {
	var levels strings.Builder
	require.NoError(c.t, c.server.fairness.DumpLevels(&levels))
	for line := range strings.Lines(levels.String()) {
		if fields := strings.Split(line, ","); strings.TrimSpace(fields[0]) == level {
			_, err := fmt.Sscan(strings.TrimSpace(fields[4])+" "+strings.TrimSpace(fields[5]), &waiting, &executing)
			require.NoError(c.t, err)
			return waiting, executing
		}
	}
	c.t.Fatalf("there is no level %s", level)
	return 0, 0
}

// A watch whose client takes nothing more is ended, with all that it holds.
func TestStalledWatch(t *testing.T) {
	t.Parallel() // it mostly waits
	c := start(t, func(cfg *Config) { cfg.WatchStall = 300 * time.Millisecond })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/v1/configmaps?watch=true", nil)
	require.NoError(t, err)
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 1, len(c.server.watches.table(time.Now())))
	value := strings.Repeat("x", 1<<20)
	// As much as the client's windows take and more; nobody reads.
	for i := range 12 {
		r, _ := c.do("POST /api/v1/namespaces/default/configmaps", fmt.Sprintf(`{"metadata":{"name":"a%d"},"data":{"k":"%s"}}`, i, value))
		require.Equal(t, http.StatusCreated, r.StatusCode)
	}
	require.Eventually(t, func() bool { return len(c.server.watches.table(time.Now())) == 0 }, 20*time.Second, 10*time.Millisecond)
}

func TestTooManyWatches(t *testing.T) {
	c := start(t, func(cfg *Config) { cfg.MaxWatchesPerUser, cfg.MaxWatches = 2, 4 })
	watch := func(user string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/v1/configmaps?watch=true", nil)
		require.NoError(t, err)
		if user != "" {
			req.Header.Set("User-Name", user)
		}
		resp, err := c.http.Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	require.Equal(t, []int{200, 200, 429}, []int{watch("a"), watch("a"), watch("a")})
	require.Equal(t, []int{200, 200, 429}, []int{watch("b"), watch("b"), watch("")}, "nor may all together")
}

// A body that says nothing but "deeper" is refused before anything is built from it.
func TestDeepBodies(t *testing.T) {
	c := start(t)
	const n = 100_000
	for _, tc := range []struct{ name, line, body, kind string }{
		{"JSON", "POST /api/v1/namespaces/default/configmaps", strings.Repeat(`{"a":`, n), typeJSON},
		{"JSON arrays", "POST /api/v1/namespaces/default/configmaps", strings.Repeat(`[`, n), typeJSON},
		{"YAML flow", "POST /api/v1/namespaces/default/configmaps", strings.Repeat(`{a: `, n), typeYAML},
		{"YAML lists", "POST /api/v1/namespaces/default/configmaps", strings.Repeat(`[`, n), typeYAML},
		{"YAML dashes", "POST /api/v1/namespaces/default/configmaps", strings.Repeat("- ", n), typeYAML},
		{"merge patch", "PATCH /api/v1/namespaces/default/configmaps/a", strings.Repeat(`{"data":`, n), "application/merge-patch+json"},
		{"strategic patch", "PATCH /api/v1/namespaces/default/configmaps/a", strings.Repeat(`{"data":`, n), "application/strategic-merge-patch+json"},
		{"JSON patch", "PATCH /api/v1/namespaces/default/configmaps/a",
			`[{"op":"add","path":"/data","value":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n) + `}]`, "application/json-patch+json"},
		{"apply", "PATCH /api/v1/namespaces/default/configmaps/a?fieldManager=m", strings.Repeat("- ", n), "application/apply-patch+yaml"},
		{"owners of fields", "POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"owned","managedFields":[{"manager":"m",` +
			`"operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":` + strings.Repeat(`{"f:a":`, n) + "{}" + strings.Repeat("}", n) + `}]}}`, typeJSON},
	} {
		c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"},"data":{"k":"v"}}`)
		began := time.Now()
		resp, body := c.do(tc.line, tc.body, "Content-Type: "+tc.kind)
		require.Less(t, resp.StatusCode, 500, "%s: %.300s", tc.name, body)
		require.GreaterOrEqual(t, resp.StatusCode, 400, "%s: %.300s", tc.name, body)
		require.Less(t, time.Since(began), 10*time.Second, tc.name)
	}
}

// Protobuf has bytes in it that are JSON again, which nobody has counted the depth of.
func TestDeepOwnersInProtobuf(t *testing.T) {
	c := start(t)
	field := func(number int, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{byte(number<<3 | 2)}, uint64(len(b))), b...)
	}
	const n = 300_000
	deep := []byte(strings.Repeat(`{"f:a":`, n) + "{}" + strings.Repeat("}", n))
	entry := append(append(append(field(1, []byte("m")), field(2, []byte("Apply"))...), field(3, []byte("v1"))...),
		append(field(6, []byte("FieldsV1")), field(7, field(1, deep))...)...)
	meta := append(field(1, []byte("deep")), field(17, entry)...)
	unknown := append(field(1, append(field(1, []byte("v1")), field(2, []byte("ConfigMap"))...)), field(2, field(1, meta))...)
	resp, body := c.do("POST /api/v1/namespaces/default/configmaps", "k8s\x00"+string(unknown), "Content-Type: "+typeProtobuf)
	require.Less(t, resp.StatusCode, 500, "%.300s", body)
	resp, _ = c.do("GET /api/v1/namespaces/default/configmaps/deep", "")
	require.Less(t, resp.StatusCode, 500)
}

// Upstream does not look into a body that says it is compressed, and so nothing can be packed into one.
func TestCompressedBodyIsNoBody(t *testing.T) {
	c := start(t)
	resp, body := c.do("POST /api/v1/namespaces/default/configmaps", "\x1f\x8b\x08\x00\x00\x00\x00\x00", "Content-Encoding: gzip")
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, body)
}

func TestLimitsOfOneRequest(t *testing.T) {
	c := start(t)
	resp, body := c.do("POST /api/v1/namespaces/default/configmaps", strings.Repeat(" ", 3<<20+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	require.Contains(t, body, `"message":"Request entity too large: limit is 3145728"`)
	require.Contains(t, body, `"reason":"RequestEntityTooLarge"`)
	resp, body = c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"just"}}`+strings.Repeat(" ", 3<<20-28))
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)

	ops := strings.Repeat(`{"op":"test","path":"/data/k","value":"v"},`, 10001)
	resp, body = c.do("PATCH /api/v1/namespaces/default/configmaps/just", "["+ops[:len(ops)-1]+"]", "Content-Type: application/json-patch+json")
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
	require.Contains(t, body, "The allowed maximum operations in a JSON patch is 10000, got 10001")

	// A header of a megabyte is refused by the protocol itself, a long path by nobody: there is no such object.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/version", nil)
	require.NoError(t, err)
	req.Header.Set("X-Long", strings.Repeat("x", 2<<20))
	if resp, err := c.http.Do(req); err == nil {
		resp.Body.Close()
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
	}
	resp, _ = c.do("GET /api/v1/namespaces/default/configmaps/"+strings.Repeat("x", 100_000), "")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// A client is not sent more warnings than clients take.
func TestManyWarnings(t *testing.T) {
	c := start(t)
	var fields strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&fields, `,"unknown%s%d":1`, strings.Repeat("x", 400), i)
	}
	resp, body := c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"warned"}`+fields.String()+`}`)
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)
	length := 0
	for _, w := range resp.Header.Values("Warning") {
		require.LessOrEqual(t, len(w), 256+len(`299 - ""`)+2)
		length += len(w)
	}
	require.Less(t, length, 6000)
	require.Greater(t, length, 4000)
}
