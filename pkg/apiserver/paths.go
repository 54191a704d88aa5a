package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/api/validation/path"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Upstream serves the built-in part of the API from a table of path templates (/api/v1/namespaces/{namespace}/pods/{name}), and the rest
// by hand. Clients see the seam, and some look at which side of it an answer is from: below the table's roots a path, a method, a body
// or an answer's type that it does not have is refused with a Status without particulars; elsewhere an unknown path is plain text, and
// any method will do. The rules of the table, in the order in which they refuse:
//
//	404  no template is like the path
//	405  no template like it is for the method; HEAD is no GET
//	415  a patch's Content-Type, taken by its letters, is none of the four
//	406  the Accept header names, by its letters, none of the types that the template can produce

// noSuchPath is the table's answer to a path that none of its templates is like.
func noSuchPath() error { return refusedByTable(http.StatusNotFound, "404: Page Not Found") }

// notAllowed is the table's answer to a method that the path is not served with.
func notAllowed() error {
	return refusedByTable(http.StatusMethodNotAllowed, "405: Method Not Allowed")
}

func refusedByTable(code int, text string) error {
	return apierrors.NewGenericServerResponse(code, "", schemaNone, "", text, 0, false)
}

// missing answers a path of t's kind that is not served. Custom kinds are not in the table.
func missing(c *call) error {
	if c.t.row == nil || c.t.row.Custom == nil {
		return noSuchPath()
	}
	notServed(c.w)
	return nil
}

// isTemplated tells whether t is where its kind has objects: a namespaced one below a namespace, unless it is a list of all.
func (t *target) isTemplated() bool {
	switch {
	case t.rest != "" && t.sub == "" && t.row.Custom == nil: // an empty name of a subresource
		return false
	case t.namespace != "" && !t.row.Namespaced:
		return !t.below // another namespace below one would be authorized as something in that
	case t.namespace == "" && t.row.Namespaced && t.row.Custom != nil:
		return t.verb == "list" || t.verb == "watch"
	case t.namespace == "" && t.row.Namespaced && t.named:
		return false
	case t.namespace == "" && t.row.Namespaced && len(t.row.Verbs) > 0:
		return slices.Contains(t.row.Verbs, "list")
	}
	return true
}

// checkTable refuses what the table of templates refuses once a path and a method have been found.
func checkTable(c *call) error {
	switch {
	case c.t.row.Custom != nil && c.t.verb == "patch":
		_, err := patchKind(c)
		return err
	case c.t.row.Custom != nil, c.t.sub == "proxy":
		return nil
	case c.r.Method == http.MethodHead:
		return notAllowed()
	case c.r.Method == http.MethodPatch && !isPatchType(c.r.Header.Get("Content-Type")):
		return refusedByTable(http.StatusUnsupportedMediaType, "415: Unsupported Media Type")
	}
	return checkProduced(c.r, producedBy(c.t))
}

var (
	typesOfObject = []string{typeJSON, typeYAML, typeProtobuf}
	typesOfList   = append(slices.Clone(typesOfObject), typeJSON+streamed, typeProtobuf+streamed)
	typesOfLog    = append([]string{"text/plain"}, typesOfObject...)
)

const streamed = ";stream=watch"

// producedBy are the types of t's answers; nil for any.
func producedBy(t *target) []string {
	switch {
	case t.sub == "log":
		return typesOfLog
	case t.longRunning() && t.verb != "watch":
		return nil
	case t.verb == "list", t.verb == "watch":
		return typesOfList
	}
	return typesOfObject
}

// checkProduced refuses a request for none of the types in produced.
func checkProduced(r *http.Request, produced []string) error {
	accept := r.Header.Get("Accept")
	if produced == nil || accept == "" || accept == typeJSON || accept == typeProtobuf {
		return nil
	}
	for clause := range strings.SplitSeq(accept, ",") {
		name, _, _ := strings.Cut(clause, ";")
		if name = strings.TrimSpace(name); name == "*/*" || slices.Contains(produced, name) {
			return nil
		}
	}
	return refusedByTable(http.StatusNotAcceptable, "406: Not Acceptable\n\nAvailable representations: "+strings.Join(produced, ", "))
}

// checkNamed refuses a name that no key could have.
func checkNamed(t *target) error {
	if !t.named {
		return nil
	}
	if wrong := path.IsValidPathSegmentName(t.name); len(wrong) > 0 {
		return apierrors.NewBadRequest(`Name parameter invalid: "` + t.name + `": ` + strings.Join(wrong, ";"))
	}
	return nil
}

// inTable tells whether path is below one of the roots of the table of templates.
func (k *kinds) inTable(path string) bool {
	for _, root := range []string{"/api", "/version", openIDConfigPath, jwksPath} {
		if isBelow(path, root) {
			return true
		}
	}
	group, ok := strings.CutPrefix(path, "/apis/")
	if !ok {
		return false
	}
	group, _, _ = strings.Cut(group, "/")
	return slices.ContainsFunc(k.table.Rows(), func(r *resource.Row) bool {
		return r.Custom == nil && slices.ContainsFunc(r.Versions, func(v resource.Version) bool { return v.Group == group })
	})
}

func isBelow(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/')
}

const (
	openIDConfigPath = "/.well-known/openid-configuration"
	jwksPath         = "/openid/v1/jwks"
)

// serveOther serves the paths that are no resources.
func (s *Server) serveOther(c *call) error {
	path := c.t.path
	if isBelow(path, "/api") || isBelow(path, "/apis") {
		docs, err := c.kinds.discovery()
		if err != nil {
			return err
		}
		if docs.Serves(path) {
			return s.serveDocument(c, docs)
		}
	}
	document := strings.TrimSuffix(path, "/")
	switch {
	case document == "/version", document == openIDConfigPath, document == jwksPath:
		if err := checkDocument(c.r, typesOfDocument[document]); err != nil {
			return err
		}
	case c.kinds.inTable(path):
		return noSuchPath()
	case strings.Contains(path, "//"):
		notServed(c.w)
		return nil
	}
	s.serveMux(c)
	return nil
}

var typesOfDocument = map[string][]string{
	"/version": {typeJSON}, openIDConfigPath: {typeJSON}, jwksPath: {"application/jwk-set+json"},
}

// checkDocument refuses what the table refuses of a document.
func checkDocument(r *http.Request, produced []string) error {
	if r.Method != http.MethodGet {
		return notAllowed()
	}
	return checkProduced(r, produced)
}
