package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkFanOut creates b.N pods while 100 clients watch them, each over TLS and HTTP/2 on a connection of its own, as the row "watch"
// of `bonsai bench` does with processes. A flush is what a watch writes at once.
func BenchmarkFanOut(b *testing.B) {
	const watchers, writers = 100, 16
	c := start(b)
	made := c.call("POST", "/api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "first"), "Content-Type", typeJSON)
	require.Equal(b, http.StatusCreated, made.status)
	path := fmt.Sprint(c.url, "/api/v1/namespaces/default/pods?watch=true&resourceVersion=", c.store.Revision())
	var group sync.WaitGroup
	var read atomic.Int64
	for range watchers {
		h := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableCompression: true,
			HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 16 << 20}}}
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
		require.NoError(b, err)
		resp, err := h.Do(req)
		require.NoError(b, err)
		b.Cleanup(func() { resp.Body.Close(); h.CloseIdleConnections() })
		group.Go(func() { read.Add(readLines(b, resp.Body, b.N)) })
	}
	done := countCPU(b)
	var next atomic.Int64
	for range writers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				createOver(b, c, fmt.Sprint("p", i))
			}
		})
	}
	group.Wait()
	done()
	b.ReportMetric(float64(watchers*b.N)/b.Elapsed().Seconds(), "events/s")

	b.ReportMetric(float64(read.Load())/float64(watchers*b.N), "bytes/event")
}

func createOver(b *testing.B, c *cluster, name string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url+"/api/v1/namespaces/default/pods",
		strings.NewReader(strings.Replace(fmt.Sprintf(benchPod, name), "a benchmark", strings.Repeat("a benchmark, ", 350), 1)))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("Content-Type", typeJSON)
	resp, err := c.http.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusCreated {
		b.Error(resp.Status, err)
	}
}

// readLines returns how long the first n lines of r are.
func readLines(b *testing.B, r io.Reader, n int) (size int64) {
	buf := make([]byte, 64<<10)
	for n > 0 {
		got, err := r.Read(buf)
		size += int64(got)
		n -= bytes.Count(buf[:got], []byte{'\n'})
		if err != nil && n > 0 {
			b.Error(err)
			return size
		}
	}
	return size
}
