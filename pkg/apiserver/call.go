package apiserver

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"

	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/fairness"
)

// call is one request on its way through the chain. Everything that a step learns about the request is a field here,
// so that the request's context carries one value and not ten.
type call struct {
	w    *recorder
	r    *http.Request
	t    *target
	user auth.User
	// kinds are those that were served when the request came in.
	kinds *kinds
	// f is how the client wants the answer. It is found out before any work: a write whose answer nobody can read is not done.
	f     format
	start time.Time
	// lap is when the last of the timed steps of the chain was done.
	lap time.Time
	// surface is what the request has come to, by which it is counted.
	surface surface
	// auditID names the request in answers and logs; traceparent is its cause, in W3C form, or empty.
	auditID, traceparent string
	warnings             warnings
	// took is where the time went.
	took latencies
	// bodySize is that of the body, if it was read.
	bodySize int
	bodyRead bool
	// pass is the request's place among those that are worked on; nil for those that take none.
	pass *fairness.Pass
	// record is what the audit log will say of the request; nil if it says nothing.
	record *audit.Record
}

// ctx is the request's context: it ends with the client, the deadline or the server.
func (c *call) ctx() context.Context { return c.r.Context() }

// warn adds a Warning header, each text once.
func (c *call) warn(text string) { c.warnings.add(c.w.Header(), text) }

// recorder notes what was answered, for metrics and logs.
type recorder struct {
	http.ResponseWriter
	status int
	size   int64
	// started is told when the answer begins; nil if nobody wants to know.
	started func(code int)
}

func (w *recorder) WriteHeader(code int) {
	w.start(code)
	if w.status == 0 && code >= 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.start(http.StatusOK)
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.size += int64(n)
	return n, err
}

// Flush lets streams through the recorder.
func (w *recorder) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack hands over the connection, which is how exec and attach become streams. HTTP/2 has no such thing, and says so.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.start(http.StatusSwitchingProtocols)
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap gives http.ResponseController the connection's own writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
