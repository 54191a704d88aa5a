package cork

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A burst is what a watch of a busy resource writes between two flushes.
const burst = 56 << 10

// Streams of bursts to many connections, over HTTP/2 and TLS: processor time of both sides for each megabyte, and how much each write
// to the kernel carries.
func BenchmarkStreams(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkStreams(b, func(l net.Listener) net.Listener { return l }) })
	b.Run("corked", func(b *testing.B) { benchmarkStreams(b, Listen) })
}

func benchmarkStreams(b *testing.B, how func(net.Listener) net.Listener) {
	const connections = 50
	turns := make([]chan struct{}, connections)
	for i := range turns {
		turns[i] = make(chan struct{}, 1)
	}
	var next atomic.Int32
	var wrote counter
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out, flush := make([]byte, burst), http.NewResponseController(w)
		_ = flush.Flush()
		for range turns[next.Add(1)-1] {
			if _, err := w.Write(out); err != nil || flush.Flush() != nil {
				return
			}
		}
	}))
	srv.EnableHTTP2 = true
	srv.Listener = how(counting{srv.Listener, &wrote})
	srv.StartTLS()
	defer srv.Close()
	var streams [connections]io.ReadCloser
	for i := range streams {
		h := *srv.Client()
		h.Transport = h.Transport.(*http.Transport).Clone()
		defer h.CloseIdleConnections()
		resp, err := h.Get(srv.URL)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		streams[i] = resp.Body
	}
	round := func() {
		var all sync.WaitGroup
		for i := range streams {
			turns[i] <- struct{}{}
			all.Go(func() {
				if _, err := io.CopyN(io.Discard, streams[i], burst); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
	for range 10 {
		round()
	}
	b.SetBytes(connections * burst)
	from, bytes, writes := processorTime(), wrote.bytes.Load(), wrote.writes.Load()
	for b.Loop() {
		round()
	}
	megabytes := float64(b.N) * connections * burst / (1 << 20)
	b.ReportMetric(float64(processorTime()-from)/megabytes, "cpu-ns/MB")
	b.ReportMetric(float64(wrote.bytes.Load()-bytes)/float64(wrote.writes.Load()-writes), "bytes/write")
	for _, t := range turns {
		close(t)
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type counter struct{ bytes, writes atomic.Int64 }

// counting counts what reaches the kernel.
type counting struct {
	net.Listener
	*counter
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return counted{c, l.counter}, err
}

type counted struct {
	net.Conn
	*counter
}

func (c counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.Conn.Write(b)
}
