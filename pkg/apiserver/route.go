package apiserver

import (
	"context"
	"net/http"
	"slices"
	"strings"

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
	case t.namespace != "" && !t.row.Namespaced && !t.isItsNamespace():
		notServed(c.w)
		return nil
	}
	if err := c.negotiate(); err != nil {
		return err
	}
	switch {
	case s.reviews[t.row] != nil:
		if t.verb != "create" || t.sub != "" {
			return notAllowed()
		}
		return s.review(c)
	case s.computed[t.row] != nil:
		return s.routeComputed(c)
	case t.sub != "":
		return s.routeSub(c)
	}
	h := s.verbHandler(t)
	if h == nil {
		return customNotAllowed(c)
	}
	if t.row.Deprecated != "" {
		c.warn(t.row.Deprecated)
	}
	return h(c)
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
		if t.name == "" && !everywhere {
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
func (s *Server) routeComputed(c *call) error {
	t := c.t
	h, ok := s.computed[t.row][t.verb]
	if !ok || t.sub != "" || (t.verb == "create" && t.name != "") || (t.row.Namespaced && t.namespace == "") {
		return notAllowed()
	}
	if t.row.Deprecated != "" {
		c.warn(t.row.Deprecated)
	}
	return h(c)
}

// routeSub picks the handler of a subresource: first those whose body is the object itself, which the row describes.
func (s *Server) routeSub(c *call) error {
	t := c.t
	var verbs map[string]handler
	switch special := s.subresources[t.resource+"/"+t.sub]; {
	case t.name == "", t.row.Namespaced && t.namespace == "", t.rest != "" && t.sub != "proxy":
	case special != nil && t.group == "":
		verbs = special
	case partOf(t) != nil:
		verbs = map[string]handler{"get": s.get, "update": s.update, "patch": s.patch}
	case t.sub == "scale" && t.row.Scale != nil:
		verbs = map[string]handler{"get": s.getScale, "update": s.updateScale, "patch": s.patchScale}
	}
	if verbs == nil {
		return noSubresource(c)
	}
	h, ok := verbs[t.verb]
	if !ok {
		return customNotAllowed(c)
	}
	if t.row.Custom != nil && t.row.Deprecated != "" {
		c.warn(t.row.Deprecated)
	}
	return h(c)
}

// specialSubresources are those of the core group that are neither a part of their object nor its Scale.
func (s *Server) specialSubresources() map[string]map[string]handler {
	create := func(h handler) map[string]handler { return map[string]handler{"create": h} }
	// Old clients begin a stream with POST, WebSocket clients with GET; a proxied request may be of any verb.
	stream := map[string]handler{"get": s.connect, "create": s.connect}
	any := map[string]handler{"get": s.connect, "create": s.connect, "update": s.connect, "patch": s.connect, "delete": s.connect}
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

// serveOther serves the paths that are no resources.
func (s *Server) serveOther(c *call) error {
	path := c.t.path
	if c.r.Method == http.MethodGet && (path == "/api" || path == "/apis" || strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/apis/")) {
		return s.serveDiscovery(c)
	}
	s.mux.ServeHTTP(c.w, c.r.WithContext(context.WithValue(c.ctx(), kindsKey{}, c.kinds)))
	return nil
}

// serveDiscovery serves the documents about kinds.
func (s *Server) serveDiscovery(c *call) error {
	docs, err := c.kinds.discovery()
	if err != nil {
		return err
	}
	docs.ServeHTTP(c.w, c.r)
	return nil
}
