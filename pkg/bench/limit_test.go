package bench

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func ask(t *testing.T, srv *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := srv.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestLimitServer(t *testing.T) {
	l := newLimits(t.TempDir())
	t.Cleanup(l.etcd.close)
	srv := httptest.NewServer(l.handler())
	defer srv.Close()
	code, body := ask(t, srv, "POST", "/echo?size=300", "{}")
	require.Equal(t, http.StatusCreated, code)
	require.Len(t, body, 300)
	code, _ = ask(t, srv, "POST", "/echo?size=-1", "")
	require.Equal(t, http.StatusBadRequest, code)

	code, body = ask(t, srv, "POST", "/durable?size=30", "kept")
	require.Equal(t, http.StatusCreated, code, body)
	require.Len(t, body, 30)
	got, err := l.etcd.server.Server.Range(t.Context(), &pb.RangeRequest{Key: []byte("/registry/pods/bench/1")})
	require.NoError(t, err)
	require.Equal(t, "kept", string(got.GetKvs()[0].GetValue()))

	ask(t, srv, "PUT", "/kept/list", "kept bytes")
	_, body = ask(t, srv, "GET", "/kept/list", "")
	require.Equal(t, "kept bytes", body)
}

// A stream waits until it is let go, and then sends every event, whatever fits into a buffer.
func TestLimitStreams(t *testing.T) {
	l := newLimits(t.TempDir())
	t.Cleanup(l.etcd.close)
	srv := httptest.NewServer(l.handler())
	defer srv.Close()
	event := strings.Repeat("x", 9999) + "\n"
	ask(t, srv, "PUT", "/kept/event", event)
	resp, err := srv.Client().Get(srv.URL + "/stream?events=20")
	require.NoError(t, err)
	defer resp.Body.Close()
	ask(t, srv, "POST", "/release", "")
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Len(t, b, 20*len(event))
	require.Equal(t, 20, bytes.Count(b, []byte("\n")))
}
