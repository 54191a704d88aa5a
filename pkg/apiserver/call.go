package apiserver

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"bonsai/pkg/apiserver/auth"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// call is one request on its way through the chain. Everything that a step learns about the request is a field here,
// so that the request's context carries one value and not ten.
type call struct {
	w    *recorder
	r    *http.Request
	t    *target
	user auth.User
	// f is how the client wants the answer. It is found out before any work: a write whose answer nobody can read is not done.
	f     format
	start time.Time
	// auditID names the request in answers and logs; traceparent is its cause, in W3C form, or empty.
	auditID, traceparent string
	warned               map[string]bool
	warnedRunes          int
	// annotations are what admission has to say to the audit log.
	annotations map[string]string
}

// ctx is the request's context: it ends with the client, the deadline or the server.
func (c *call) ctx() context.Context { return c.r.Context() }

// Headers that are too long break connections, so warnings are cut when they have become many: some are from webhooks.
const (
	maxWarnings = 4 << 10 // runes in all
	cutWarning  = 256     // runes of each, after that
)

// warn adds a Warning header, each text once.
func (c *call) warn(text string) {
	if c.warned[text] {
		return
	}
	if runes := []rune(text); c.warnedRunes+len(runes) > maxWarnings {
		if c.warnedRunes > maxWarnings {
			return
		}
		text = string(runes[:min(len(runes), cutWarning)])
	}
	c.warnedRunes += utf8.RuneCountInString(text)
	header, err := utilnet.NewWarningHeader(299, "-", text)
	if err != nil {
		return // the text is empty or not UTF-8, which a header cannot say
	}
	if c.warned == nil {
		c.warned = map[string]bool{}
	}
	c.warned[text] = true
	c.w.Header().Add("Warning", header)
}

// Warn and Annotate are how admission speaks to the client and to the audit log.
func (c *call) Warn(text string) { c.warn(text) }

// Annotate adds to what the audit log will say of the request. Whoever says something first is believed.
func (c *call) Annotate(key, value string) {
	if _, taken := c.annotations[key]; taken {
		return
	}
	if c.annotations == nil {
		c.annotations = map[string]string{}
	}
	c.annotations[key] = value
}

// recorder notes what was answered, for metrics and logs.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(code int) {
	if w.status == 0 && code >= 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Flush lets streams through the recorder.
func (w *recorder) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack hands over the connection, which is how exec and attach become streams. HTTP/2 has no such thing, and says so.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap gives http.ResponseController the connection's own writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
