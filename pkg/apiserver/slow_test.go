package apiserver

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Clients that are slow on purpose hold a place, a connection, a buffer. What bounds each of them:

// A client that begins a body and never ends it has until its deadline, and no place among the requests in flight after it.
func TestSlowBody(t *testing.T) {
	c := start(t)
	for _, protocol := range []*http.Client{c.http, {Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} {
		body, more := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/api/v1/namespaces/default/configmaps?timeout=50ms", body)
		require.NoError(t, err)
		go func() { _, _ = more.Write([]byte("{")) }()
		resp, err := protocol.Do(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusGatewayTimeout, resp.StatusCode)
		resp.Body.Close()
		more.Close()
	}
}

// A client that says nothing, or a letter of a header now and then, is cut off: no request of its ever begins.
func TestSlowHeaders(t *testing.T) {
	t.Parallel() // it mostly waits
	c := start(t)
	srv := c.server.httpServer(servingTLS())
	require.NotZero(t, srv.ReadHeaderTimeout)
	require.LessOrEqual(t, srv.ReadHeaderTimeout, 32*time.Second)
	srv.ReadHeaderTimeout = 2 * time.Second // enough for a handshake on a busy machine
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		return conn
	}
	secured := func() net.Conn {
		conn := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		require.NoError(t, conn.Handshake())
		return conn
	}
	for name, client := range map[string]struct {
		conn  net.Conn
		first string
	}{
		"before the handshake": {dial(), ""},
		"after the handshake":  {secured(), ""},
		"within a header":      {secured(), "GET /version HTTP/1.1\r\nHost: x\r\nX-Long: "},
	} {
		t.Run(name, func(t *testing.T) {
			if client.first != "" {
				go drip(client.conn, client.first)
			}
			got, err := io.ReadAll(client.conn)
			late, isNet := err.(net.Error)
			require.False(t, isNet && late.Timeout(), "nobody hung up")
			require.NotContains(t, string(got), "200 OK")
		})
	}
}

// drip sends text, and then a letter now and then for as long as somebody listens.
func drip(to io.Writer, text string) {
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if _, err := io.WriteString(to, text); err != nil {
			tick.Stop()
			return
		}
		text = "x"
	}
}

// A client that asks for a large list and takes nothing of it holds its place until its deadline and a while more, not for ever.
func TestSlowReader(t *testing.T) {
	t.Parallel() // it mostly waits
	c := start(t)
	c.fill(12_000)
	_, whole := c.do("GET /api/v1/pods", "")
	require.Greater(t, len(whole), 12<<20, "more than fits into the buffers in between")
	const path = "/api/v1/pods?timeout=3s" // enough for the head of the answer on a busy machine
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
	require.NoError(t, err)
	resp, err := c.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)

	conn, err := tls.Dial("tcp", strings.TrimPrefix(c.url, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	require.NoError(t, err)
	first, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
	require.NoError(t, err)
	defer first.Body.Close()
	require.Equal(t, http.StatusOK, first.StatusCode)

	reads := &c.server.metrics.reads
	require.EqualValues(t, 2, reads.Load(), "both are being written")
	require.Eventually(t, func() bool { return reads.Load() == 0 }, 4*graceToRead, 10*time.Millisecond)
	for _, body := range []io.Reader{resp.Body, first.Body} {
		got, err := io.ReadAll(body)
		require.Error(t, err, "%d bytes came, as if they were all", len(got))
		require.Less(t, len(got), len(whole))
	}
}
