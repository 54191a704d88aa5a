package apiserver

import (
	"net/http"
	"slices"
)

// route is the last handler of the chain: it picks the verb's file.
func (s *Server) route(c *call) error {
	t := c.t
	switch {
	case !t.isResource:
		return s.serveOther(c)
	case t.row == nil:
		if s.discovery.Serves(t.path) {
			return s.serveOther(c)
		}
		notServed(c.w)
		return nil
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
	case t.sub != "":
		return s.routeSub(c)
	}
	h := s.verbHandler(t)
	if h == nil {
		return notAllowed()
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
		notServed(c.w)
		return nil
	}
	h, ok := verbs[t.verb]
	if !ok {
		return notAllowed()
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
	if s.discovery.Serves(c.t.path) && c.r.Method == http.MethodGet {
		s.discovery.ServeHTTP(c.w, c.r)
		return nil
	}
	s.mux.ServeHTTP(c.w, c.r)
	return nil
}
