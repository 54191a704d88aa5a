package apiserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
)

// The benchmarks call the handler without a network, so that what they count is the server's own work. Creates still wait for etcd's
// disk: look at their allocations and at a CPU profile, or at BenchmarkPrepareCreate, which stops before the commit.

const benchPod = `{"metadata":{"name":"%s","labels":{"app":"web","tier":"front"},"annotations":{"example.com/why":"a benchmark"}},
"spec":{"containers":[{"name":"c","image":"registry.example.com/web:v1","ports":[{"containerPort":80,"name":"http"}],
"env":[{"name":"A","value":"1"},{"name":"B","value":"2"}],"resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}},
"readinessProbe":{"httpGet":{"path":"/","port":80}},"volumeMounts":[{"name":"data","mountPath":"/data"}]}],
"volumes":[{"name":"data","emptyDir":{}}]}}`

// sink is a client that reads everything and keeps nothing.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(code int)        { s.status = code }
func (s *sink) Write(b []byte) (int, error) { s.bytes += len(b); return len(b), nil }

func (c *cluster) call(method, path, body string, headers ...string) *sink {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := &sink{header: http.Header{}}
	c.server.Handler().ServeHTTP(w, r)
	return w
}

func BenchmarkCreatePod(b *testing.B) {
	c := start(b)
	defer countCPU(b)()
	for i := range b.N {
		w := c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, fmt.Sprint("p", i)), "Content-Type", typeJSON)
		if w.status != http.StatusCreated {
			b.Fatal(w.status)
		}
	}
}

// BenchmarkPrepareCreate is everything of a create but the disk: a dry run, which also reads.
func BenchmarkPrepareCreate(b *testing.B) {
	c := start(b)
	c.server.store = nothing{c.server.store}
	body := fmt.Sprintf(benchPod, "p")
	c.call("POST", "/api/v1/namespaces/default/pods", body) // reads the schemas
	defer countCPU(b)()
	for range b.N {
		w := c.call("POST", "/api/v1/namespaces/default/pods", body, "Content-Type", typeJSON)
		if w.status != http.StatusCreated {
			b.Fatal(w.status)
		}
	}
}

const benchStatus = `{"status":{"phase":"Running","startTime":"2026-01-01T00:00:00Z","podIP":"10.0.0.%d","conditions":[
{"type":"Ready","status":"True"},{"type":"ContainersReady","status":"True"},{"type":"Initialized","status":"True"}],
"containerStatuses":[{"name":"c","image":"i","imageID":"x","ready":true,"restartCount":%d,"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}`

// BenchmarkPatchStatus is what a kubelet does most.
func BenchmarkPatchStatus(b *testing.B) {
	c := start(b)
	require.Equal(b, http.StatusCreated, c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "p")).status)
	c.server.store = nothing{c.server.store}
	defer countCPU(b)()
	for i := range b.N {
		w := c.call("PATCH", "/api/v1/namespaces/default/pods/p/status", fmt.Sprintf(benchStatus, i%250, i),
			"Content-Type", "application/strategic-merge-patch+json", "Accept", typeProtobuf)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// BenchmarkBind is what the scheduler does.
func BenchmarkBind(b *testing.B) {
	c := start(b)
	require.Equal(b, http.StatusCreated, c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "p")).status)
	c.server.store = nothing{c.server.store}
	defer countCPU(b)()
	for range b.N {
		w := c.call("POST", "/api/v1/namespaces/default/pods/p/binding", `{"target":{"name":"n"}}`, "Accept", typeProtobuf)
		if w.status != http.StatusCreated {
			b.Fatal(w.status)
		}
	}
}

// countCPU starts the benchmark's clock, and returns what reports the processor time of an operation: on a busy machine the time
// on the wall says little.
func countCPU(b *testing.B) (done func()) {
	used := func() float64 {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	before := used()
	b.ResetTimer()
	return func() { b.ReportMetric((used()-before)/float64(b.N)/1000, "cpu-µs/op") }
}

// nothing is a store that acknowledges and keeps nothing.
type nothing struct{ store.API }

func (nothing) Commit(_ context.Context, t store.Txn) ([]*store.Object, error) {
	out := make([]*store.Object, len(t.Put)+len(t.Delete))
	for i, p := range t.Put {
		out[i] = &store.Object{Key: p.Key, Rev: 7, Value: p.Value, Attrs: p.Attrs}
	}
	return out, nil
}

func BenchmarkGet(b *testing.B) {
	c := start(b)
	require.Equal(b, http.StatusCreated, c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "p")).status)
	defer countCPU(b)()
	for range b.N {
		c.call("GET", "/api/v1/namespaces/default/pods/p?resourceVersion=0", "")
	}
}

func BenchmarkList5000(b *testing.B) {
	c := start(b)
	c.fill(5000)
	for _, accept := range []string{typeJSON, typeProtobuf, typeJSON + ";as=Table;g=meta.k8s.io;v=v1"} {
		b.Run(accept, func(b *testing.B) {
			c.call("GET", "/api/v1/pods?resourceVersion=0", "", "Accept", accept) // makes the kept forms
			defer countCPU(b)()
			for range b.N {
				b.SetBytes(int64(c.call("GET", "/api/v1/pods?resourceVersion=0", "", "Accept", accept).bytes))
			}
		})
	}
}

// fill makes n pods, in transactions of many.
func (c *cluster) fill(n int) {
	made := c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "first"), "Accept", typeProtobuf)
	require.Equal(c.t, http.StatusCreated, made.status)
	o, err := c.store.Get(c.t.Context(), "/registry/pods/default/first", store.ReadAt{})
	require.NoError(c.t, err)
	for from := 0; from < n; from += 100 {
		var txn store.Txn
		for i := from; i < min(from+100, n); i++ {
			txn.Put = append(txn.Put, store.Put{Key: fmt.Sprintf("/registry/pods/default/p%05d", i), Value: o.Value, Attrs: o.Attrs})
		}
		_, err := c.store.Commit(c.t.Context(), txn)
		require.NoError(c.t, err)
	}
}

func BenchmarkWatchEncode(b *testing.B) {
	c := start(b)
	require.Equal(b, http.StatusCreated, c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "p")).status)
	o, err := c.store.Get(b.Context(), "/registry/pods/default/p", store.ReadAt{})
	require.NoError(b, err)
	for _, accept := range []string{typeJSON, typeProtobuf} {
		b.Run(accept, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/api/v1/pods?watch=true", nil)
			r.Header.Set("Accept", accept)
			k := c.server.newCall(discard{}, r)
			require.NoError(b, k.negotiate())
			w, err := newEventWriter(k, c.server.now, guarded{k.w, &watching{}})
			require.NoError(b, err)
			w.b = bufio.NewWriter(io.Discard)
			defer countCPU(b)()
			for range b.N {
				if err := w.event(&store.Event{Type: store.Modified, Object: o, Rev: o.Rev}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
