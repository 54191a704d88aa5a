package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"bonsai/pkg/apiserver/auth"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// step is one link of the chain: it answers the call itself, by an error or by hand, or lets next do it.
type step func(c *call, next handler) error

// handler answers a call; a returned error becomes a Status.
type handler func(c *call) error

// steps is the chain. Every request passes it in this order.
func (s *Server) steps() []step {
	steps := []step{
		s.measure,      // answers errors, and counts what the request has come to
		s.recoverPanic, // one bad request must not take the server down
		s.understand,   // 500, as upstream: a path that breaks off is about nothing
		s.deadline,     // whatever is read or written below ends in time
		s.authenticate, // 401
		s.audit(),      // from here on, what happens is written down, if anybody wants to know
		s.impersonate,  // 403 for who may not; from here on, the user is the other one
		s.limit,        // 429, after we know who, before we do work
		s.authorize,    // 403
	}
	return slices.DeleteFunc(steps, func(s step) bool { return s == nil })
}

// maxTraceparent is more than any version of the header has; what is longer is none, and would be kept with the cause.
const maxTraceparent = 128

// newCall gives the request its names: an audit id (the client's, if it sent one) and the cause it states.
func (s *Server) newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{r: r, w: &recorder{ResponseWriter: w}, t: parseTarget(r), start: s.now()}
	c.auditID = r.Header.Get("Audit-ID")
	if c.auditID == "" || len(c.auditID) > 64 {
		c.auditID = uuid.NewString()
	}
	if c.traceparent = r.Header.Get("Traceparent"); len(c.traceparent) > maxTraceparent {
		c.traceparent = ""
	}
	c.kinds = s.find(c.t)
	h := w.Header()
	h.Set("Audit-Id", c.auditID)
	h.Set("Cache-Control", "no-cache, private")
	return c
}

// recoverPanic turns a panic into a 500. http.ErrAbortHandler is the agreed way to cut a connection and goes through.
func (s *Server) recoverPanic(c *call, next handler) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			s.aborted(c)
			panic(p)
		}
		s.log.Error("panic while serving", "auditID", c.auditID, "method", c.r.Method, "path", c.r.URL.Path,
			"panic", p, "stack", string(debug.Stack()))
		err = apierrors.NewInternalError(fmt.Errorf(
			"apiserver panic'd on %v %v. Please look at the log of the server for Audit-ID=%s",
			c.r.Method, c.r.URL.Path, c.auditID))
	}()
	return next(c)
}

// understand refuses a path that ends where it should say what it is about.
func (s *Server) understand(c *call, next handler) error {
	if c.t.headless {
		c.w.Header().Del("Cache-Control") // it has not come to that
		return &internalError{uri: c.r.URL.RequestURI(),
			err: fmt.Errorf("failed to create RequestInfo: unable to determine kind and namespace from url, %v", c.r.URL)}
	}
	return next(c)
}

// deadline ends requests after a minute, or after the client's own timeout if that is shorter.
func (s *Server) deadline(c *call, next handler) error {
	if c.t.longRunning() {
		return next(c)
	}
	limit := s.cfg.RequestTimeout
	if text := c.r.URL.Query().Get("timeout"); text != "" {
		asked, err := time.ParseDuration(text)
		if err != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("invalid timeout specified in the request URL - %v", err))
		}
		if asked > 0 {
			limit = min(limit, asked)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx(), limit)
	defer cancel()
	c.r = c.r.WithContext(ctx)
	defer c.cutOff(ctx)()
	err := next(c)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.terminated(c, http.StatusGatewayTimeout)
	}
	return err
}

// graceToRead is how long after its deadline a client may take to read the answer.
const graceToRead = 5 * time.Second

// cutOff makes reading from and writing to the client fail once ctx has ended. A context alone ends neither: clients that send or
// read a byte now and then would hold their places among the requests in flight for ever. The returned function calls that off.
//
// A connection of HTTP/1 whose reading was cut has lost the context of all requests to come, so this one is its last.
func (c *call) cutOff(ctx context.Context) func() {
	return c.cut(ctx, func(conn *http.ResponseController) { _ = conn.SetReadDeadline(time.Now()) }, func(*http.ResponseController) {
		if c.r.ProtoMajor == 1 {
			c.w.Header().Set("Connection", "close")
		}
	})
}

// cutOffStream is cutOff for an answer that ends when its time is over, as it should: there is nothing to read, and other requests may
// follow on the same connection.
func (c *call) cutOffStream(ctx context.Context) func() {
	return c.cut(ctx, func(*http.ResponseController) {}, func(conn *http.ResponseController) {
		if c.r.ProtoMajor == 1 && !websocket.IsWebSocketUpgrade(c.r) && conn.Flush() == nil {
			_ = conn.SetWriteDeadline(time.Time{})
		}
	})
}

// cut gives the client graceToRead from when ctx has ended, and does what else is to be done then, and after the request if it was.
func (c *call) cut(ctx context.Context, then, after func(*http.ResponseController)) func() {
	conn, done := http.NewResponseController(c.w), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		then(conn)
		_ = conn.SetWriteDeadline(time.Now().Add(graceToRead)) // the connection's clock is the real one; one without deadlines is of tests
	})
	return func() {
		if !stop() {
			<-done // the connection's writer must not be used after the request
			after(conn)
		}
	}
}

// authenticate finds out who asks.
func (s *Server) authenticate(c *call, next handler) error {
	user, ok, err := s.cfg.Authenticator.Authenticate(c.r)
	c.lap = s.now()
	c.took.authentication = c.lap.Sub(c.start) // the steps before take no time
	s.identity.authenticated(user, ok, err, c.took.authentication)
	if err != nil || !ok {
		if err != nil {
			s.log.Info("credentials refused", "auditID", c.auditID, "path", c.r.URL.Path, "error", err)
		}
		err = apierrors.NewUnauthorized("Unauthorized")
		s.auditRefusal(c, err)
		return err
	}
	if user.Remarks != nil {
		for _, w := range user.Remarks.Warnings {
			c.warn(w)
		}
	}
	// What was a secret up to here must not reach a proxied pod or a log.
	c.r.Header.Del("Authorization")
	c.user = user
	c.r = c.r.WithContext(auth.WithUser(c.ctx(), user))
	return next(c)
}

// authorize asks whether that user may do this.
func (s *Server) authorize(c *call, next handler) error {
	decision, reason, err := s.decide(c, c.t.verb)
	c.took.authorization = s.now().Sub(c.lap)
	s.identity.authorized(decision, err, c.took.authorization)
	c.recordDecision(reason, err)
	if err != nil {
		return err
	}
	s.lap(c, s.identity.steps.authorization)
	return next(c)
}

// require asks whether the user may also do verb here: some requests come to more than their own verb says,
// as an apply that creates.
func (s *Server) require(c *call, verb string) error {
	_, _, err := s.decide(c, verb)
	return err
}

// decide asks the authorizers; the reason is theirs.
func (s *Server) decide(c *call, verb string) (decision auth.Decision, reason string, err error) {
	a := c.t.attributes(c.user)
	a.Verb = verb
	decision, reason, err = s.cfg.Authorizer.Authorize(c.ctx(), a)
	switch {
	case decision == auth.Allow:
		return decision, reason, nil
	case err != nil: // nobody said no: somebody who might have said yes could not be asked
		return decision, "internal error", &internalError{uri: c.r.URL.RequestURI(), err: err}
	}
	return decision, reason, auth.Forbidden(a, reason)
}

var schemaNone = schema.GroupResource{}
