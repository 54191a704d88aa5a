package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"bonsai/pkg/pki"
)

// The server that sets the limits: net/http's HTTP/2 and TLS, as the API server has them, from a process of its own as well, and
// behind it nothing. The API server cannot do faster what it does in the same way; where it does better, as with large answers, which
// leave it in fewer writes (pkg/apiserver/cork), it may.
//
//	POST /echo?size=N       reads the body, answers N bytes
//	POST /durable?size=N    the same, with the body kept by an etcd (durable.go)
//	PUT  /kept/NAME         keeps the body
//	GET  /kept/NAME         answers with it
//	GET  /stream?events=N   waits for /release, then sends what was kept as "event" N times
//	POST /release           lets all streams go

// LimitServer serves until ctx ends. It listens on loopback and says on out where.
func LimitServer(ctx context.Context, dataDir string, out io.Writer) error {
	certs, err := pki.Ensure(dataDir, certificates())
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l := newLimits(dataDir)
	defer l.etcd.close()
	srv := &http.Server{
		Handler: l.handler(),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certs.APIServer}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
		},
		ReadHeaderTimeout: 32 * time.Second,
		// As the API server has it.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250, MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 256 << 10 * 250,
		},
	}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	fmt.Fprintln(out, listener.Addr())
	if err := srv.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

type limits struct {
	filler  []byte // what echo answers with
	etcd    durable
	mu      sync.Mutex
	kept    map[string][]byte
	release chan struct{}
}

func newLimits(dataDir string) *limits {
	return &limits{filler: make([]byte, 1<<20), etcd: durable{dir: dataDir}, kept: map[string][]byte{}, release: make(chan struct{})}
}

func (l *limits) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /echo", l.echo)
	mux.HandleFunc("POST /durable", l.durably)
	mux.HandleFunc("PUT /kept/{name}", l.keep)
	mux.HandleFunc("GET /kept/{name}", l.give)
	mux.HandleFunc("GET /stream", l.stream)
	mux.HandleFunc("POST /release", l.letGo)
	return mux
}

func (l *limits) echo(w http.ResponseWriter, r *http.Request) {
	l.answering(w, r, func([]byte) error { return nil })
}

// answering answers as many bytes as it is asked for, once what is to be done with the body is done.
func (l *limits) answering(w http.ResponseWriter, r *http.Request, do func(body []byte) error) {
	size, err := strconv.Atoi(r.URL.Query().Get("size"))
	if err != nil || size < 0 || size > len(l.filler) {
		http.Error(w, "size: a number of bytes up to a MiB", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	if err := do(body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(l.filler[:size])
}

func (l *limits) keep(_ http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[r.PathValue("name")] = b
}

func (l *limits) get(name string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept[name]
}

func (l *limits) give(w http.ResponseWriter, r *http.Request) {
	b := l.get(r.PathValue("name"))
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
}

func (l *limits) gate() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.release
}

func (l *limits) letGo(http.ResponseWriter, *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.release)
	l.release = make(chan struct{})
}

// streamBuffer is the API server's.
const streamBuffer = 64 << 10

// stream sends events as fast as the connection takes them.
func (l *limits) stream(w http.ResponseWriter, r *http.Request) {
	events, err := strconv.Atoi(r.URL.Query().Get("events"))
	if err != nil {
		http.Error(w, "events: a number", http.StatusBadRequest)
		return
	}
	event, gate := l.get("event"), l.gate()
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	select {
	case <-gate:
	case <-r.Context().Done():
		return
	}
	buf := make([]byte, 0, streamBuffer+len(event))
	for range events {
		if buf = append(buf, event...); len(buf) >= streamBuffer {
			if _, err := w.Write(buf); err != nil {
				return
			}
			buf = buf[:0]
		}
	}
	_, _ = w.Write(buf)
}
