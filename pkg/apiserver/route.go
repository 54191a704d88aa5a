package apiserver

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/discovery"
	"bonsai/pkg/resource"
)

// route is the last handler of the chain: it picks the verb's file.
func (s *Server) route(c *call) error {
	t := c.t
	if u := s.aggregate.elsewhere(t); u != nil {
		return c.passOn(u, s.now())
	}
	switch {
	case !t.isResource:
		return s.serveOther(c)
	case t.row == nil:
		return s.serveOther(c)
	case !t.isTemplated():
		return missing(c)
	}
	deprecated := t.row.Deprecated != "" && (t.sub == "" || t.row.Custom != nil)
	if deprecated && t.row.Custom != nil {
		c.warn(t.row.Deprecated) // whatever is asked of it
	}
	h, err := s.handlerOf(c)
	if h == nil || err != nil {
		return err
	}
	if err := checkTable(c); err != nil {
		return err
	}
	if deprecated {
		s.deprecates(c)
	}
	if c.surface = ofResource; t.longRunning() {
		defer s.metrics.opened(c)()
	}
	return s.handle(c, h)
}

// handle lets h answer a request for a resource, after what all such requests are asked.
func (s *Server) handle(c *call, h handler) error {
	if err := c.negotiate(); err != nil {
		return err
	}
	if err := checkNamed(c.t); err != nil {
		return err
	}
	if err := refuseExport(c); err != nil && !c.t.longRunning() {
		return err
	}
	return h(c)
}

// handlerOf picks the handler of a request for a resource; nil if it has been answered.
func (s *Server) handlerOf(c *call) (handler, error) {
	var h handler
	switch t := c.t; {
	case t.prefixed && t.row.Custom == nil:
		return s.routePrefixed(c)
	case s.reviews[t.row] != nil:
		return s.routeReview(c)
	case s.computed[t.row] != nil:
		return s.routeComputed(c)
	case t.sub != "":
		return s.routeSub(c)
	default:
		h = s.verbHandler(t)
	}
	if h == nil {
		return nil, customNotAllowed(c)
	}
	return h, nil
}

// routePrefixed picks the handler of a request to a built-in kind whose verb is in its path: one may watch what can be watched, but none
// of its subresources.
func (s *Server) routePrefixed(c *call) (handler, error) {
	t := c.t
	stored := s.reviews[t.row] == nil && s.computed[t.row] == nil
	if t.verb != "watch" || t.sub != "" || !stored || s.verbHandler(t) == nil {
		return nil, noSuchPath()
	}
	if c.r.Method != http.MethodGet {
		return nil, notAllowed()
	}
	return s.watch, nil
}

// routeReview picks the handler of a question, which can only be made.
func (s *Server) routeReview(c *call) (handler, error) {
	switch {
	case c.t.named:
		return nil, noSuchPath()
	case c.t.verb != "create":
		return nil, notAllowed()
	}
	return s.review, nil
}

// verbHandler returns the handler of t's verb on the object itself; nil if that is not served there.
func (s *Server) verbHandler(t *target) handler {
	if len(t.row.Verbs) > 0 && !slices.Contains(t.row.Verbs, t.verb) {
		return nil
	}
	everywhere := t.row.Namespaced && t.namespace == ""
	switch t.verb {
	case "list":
		return s.list
	case "watch":
		return s.watch
	case "create":
		if (t.name == "" || t.row.Custom != nil) && !everywhere { // upstream does not look whether a custom one has a name in its path
			return s.create
		}
	case "deletecollection":
		if !everywhere {
			return s.deleteCollection
		}
	}
	if t.name == "" || everywhere {
		return nil
	}
	switch t.verb {
	case "get":
		return s.get
	case "update":
		return s.update
	case "patch":
		return s.patch
	case "delete":
		return s.delete
	}
	return nil
}

// computedKinds are those that are answered or done, and kept nowhere.
func (s *Server) computedKinds() map[*resource.Row]map[string]handler {
	return map[*resource.Row]map[string]handler{
		resource.Bindings():          {"create": s.bindNamed},
		resource.ComponentStatuses(): {"get": s.getComponentStatus, "list": s.listComponentStatuses},
	}
}

// routeComputed picks the handler of one of them.
func (s *Server) routeComputed(c *call) (handler, error) {
	t, verbs := c.t, s.computed[c.t.row]
	if t.sub != "" || t.named && verbs["get"] == nil {
		return nil, noSuchPath()
	}
	h, ok := verbs[t.verb]
	if !ok || (t.verb == "create" && t.named) {
		return nil, notAllowed()
	}
	return h, nil
}

// routeSub picks the handler of a subresource: first those whose body is the object itself, which the row describes.
func (s *Server) routeSub(c *call) (handler, error) {
	t := c.t
	var verbs map[string]handler
	switch special := s.subresources[t.resource+"/"+t.sub]; {
	case !t.named, t.rest != "" && t.sub != "proxy" && t.row.Custom == nil: // nobody looks what follows after that of a custom one
	case special != nil && t.group == "":
		verbs = special
	case partOf(t) != nil:
		verbs = map[string]handler{"get": s.get, "update": s.update, "patch": s.patch}
	case t.sub == "scale" && t.row.Scale != nil:
		verbs = map[string]handler{"get": s.getScale, "update": s.updateScale, "patch": s.patchScale}
	}
	if verbs == nil {
		return nil, noSubresource(c)
	}
	h, ok := verbs[t.verb]
	if !ok || t.sub == "finalize" && t.verb != "update" {
		return nil, customNotAllowed(c)
	}
	return h, nil
}

// specialSubresources are those of the core group that are neither a part of their object nor its Scale.
func (s *Server) specialSubresources() map[string]map[string]handler {
	create := func(h handler) map[string]handler { return map[string]handler{"create": h} }
	// Old clients begin a stream with POST, WebSocket clients with GET; a proxied request may be of any verb.
	stream := map[string]handler{"get": s.connect, "create": s.connect}
	any := map[string]handler{"get": s.connect, "create": s.connect, "update": s.connect, "patch": s.connect, "delete": s.connect,
		"": s.connectOther}
	return map[string]map[string]handler{
		"pods/binding":          create(s.bind),
		"pods/eviction":         create(s.evict),
		"serviceaccounts/token": create(s.issueToken),
		"pods/log":              {"get": s.connect},
		"pods/exec":             stream,
		"pods/attach":           stream,
		"pods/portforward":      stream,
		"pods/proxy":            any,
		"services/proxy":        any,
		"nodes/proxy":           any,
	}
}

// serveMux serves from the paths that are served by hand.
func (s *Server) serveMux(c *call) {
	c.surface = surfaceAt(c.t.path)
	s.mux.ServeHTTP(c.w, c.r.WithContext(context.WithValue(c.ctx(), kindsKey{}, c.kinds)))
}

// serveDocument serves a document about kinds. Those of the built-in versions are in the table of templates.
func (s *Server) serveDocument(c *call, docs *discovery.Documents) error {
	path := strings.TrimSuffix(c.t.path, "/")
	if isBelow(path, "/api") || strings.Count(path, "/") == 3 && c.kinds.inTable(path) {
		if err := checkDocument(c.r, typesOfObject); err != nil {
			return err
		}
	}
	served := docs.Serve(c.w, c.r, wantsPretty(c.r))
	if served.Aggregated {
		c.surface = surfaceAt(path)
	}
	if served.JSON != nil {
		c.record.Response(bytes.TrimSpace(served.JSON))
	}
	return nil
}
