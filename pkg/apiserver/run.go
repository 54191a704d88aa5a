package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"bonsai/pkg/apiserver/cork"
)

// graceToStop is how long requests that are being worked on when the server stops may take.
const graceToStop = 10 * time.Second

// Serve answers on the listeners, with TLS as t says, until ctx ends. It makes the first objects, and is ready once they are.
// It stops in the order that clients want: not ready, watches ended, requests finished, connections closed.
func (s *Server) Serve(ctx context.Context, t *tls.Config, listeners ...net.Listener) error {
	srv := s.httpServer(t)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- srv.ServeTLS(cork.Listen(l), "", "") }()
	}
	defer srv.Close()
	if s.cfg.Definer != nil {
		defining, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { s.cfg.Definer.Run(defining, s) })
		defer done.Wait()
		defer stop()
	}
	running, end := context.WithCancel(ctx)
	defer s.tasks.Wait()
	defer end()
	if err := s.Bootstrap(running); err != nil && ctx.Err() == nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return s.shutDown(srv)
}

func (s *Server) shutDown(srv *http.Server) error {
	s.ready.Store(false)
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), graceToStop)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// httpServer has limits where a client could otherwise hold on to memory, and none where a watch needs time.
func (s *Server) httpServer(t *tls.Config) *http.Server {
	t = t.Clone()
	t.NextProtos = []string{"h2", "http/1.1"}
	t.MinVersion = max(t.MinVersion, tls.VersionTLS12)
	return &http.Server{
		Handler: s.handler, TLSConfig: t,
		MaxHeaderBytes: 1 << 20, ReadHeaderTimeout: 32 * time.Second, IdleTimeout: 90 * time.Second,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			// Bodies fit into the windows, so that no client waits for an update in the middle of one.
			MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 256 << 10 * 250,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
		},
		ErrorLog: log.New(serverLog{s}, "", 0),
	}
}

// serverLog takes what net/http has to say, which tells of failed handshakes nowhere else.
type serverLog struct{ s *Server }

func (l serverLog) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		l.s.metrics.handshakes.Inc()
	}
	l.s.log.Debug(string(bytes.TrimSpace(line)))
	return len(line), nil
}
