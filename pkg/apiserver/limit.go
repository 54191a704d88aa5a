package apiserver

import (
	"net/http"
	"slices"
	"strconv"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/fairness"
	"bonsai/pkg/store"
)

// limit lets the request in when it is its turn (priority and fairness), or turns it away. Requests that last, but for the beginning of
// watches, are no work and are let through.
func (s *Server) limit(c *call, next handler) error {
	if c.t.longRunning() && c.t.verb != "watch" {
		s.lap(c, s.identity.steps.fairness)
		return next(c)
	}
	pass := s.fairness.Enter(c.ctx(), c.fairnessRequest(), c.start, func(most int) fairness.Work { return s.workOf(c, most) })
	h := c.w.Header()
	h["X-Kubernetes-Pf-Flowschema-Uid"], h["X-Kubernetes-Pf-Prioritylevel-Uid"] = pass.SchemaUID, pass.LevelUID
	if pass.RetryAfter > 0 {
		s.dropped(c)
		h.Set("Retry-After", strconv.FormatInt(pass.RetryAfter, 10))
		http.Error(c.w, "Too many requests, please try again later.", http.StatusTooManyRequests)
		return nil
	}
	c.pass = pass
	defer func() { pass.Leave(s.now()) }()
	running := s.metrics.inFlight(c.t.verb)
	running.Add(1)
	defer running.Add(-1)
	s.lap(c, s.identity.steps.fairness)
	return next(c)
}

// fairnessRequest is the request as flow schemas see it.
func (c *call) fairnessRequest() *fairness.Request {
	t := c.t
	return &fairness.Request{
		User: c.user.Name, Groups: c.user.Groups, Verb: t.verb, IsResource: t.isResource, Path: t.path,
		Group: t.group, Version: t.version, Resource: t.resource, Subresource: t.sub, Namespace: t.namespace, Name: t.name,
		Reads: isRead(t.verb),
	}
}

// counter is what of the store the estimates need.
type counter interface {
	Count(segment string) store.Count
}

// workOf estimates what the request costs.
func (s *Server) workOf(c *call, most int) fairness.Work {
	t := c.t
	if t.row == nil || t.sub != "" {
		return fairness.Work{Seats: 1}
	}
	switch t.verb {
	case "list":
		return s.listWork(c, most)
	case "watch":
		q := c.r.URL.Query()
		if version := q.Get("resourceVersion"); version == "" || version == "0" || q.Get("sendInitialEvents") == "true" {
			return s.listWork(c, most)
		}
	case "create", "update", "patch", "delete":
		return fairness.Write(s.watches.interested(t.row, t.namespace), most)
	}
	return fairness.Work{Seats: 1}
}

func (s *Server) listWork(c *call, most int) fairness.Work {
	counts, ok := s.store.(counter)
	if !ok {
		return fairness.Work{Seats: 1}
	}
	n := counts.Count(segmentOf(c.t.row))
	limit, err := strconv.ParseInt(c.r.URL.Query().Get("limit"), 10, 64)
	if err != nil {
		limit = 0 // the list itself will say what is wrong with it
	}
	return fairness.List(fairness.Stored{Objects: n.Objects, Bytes: n.Bytes}, limit, c.t.name != "", most)
}

func isRead(verb string) bool {
	return verb == "get" || verb == "list" || verb == "watch" || verb == "head"
}

// isAdmin tells whether the request is of a person who can repair an overload.
func isAdmin(c *call) bool { return slices.Contains(c.user.Groups, auth.Superusers) }
