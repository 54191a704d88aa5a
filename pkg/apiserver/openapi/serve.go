package openapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"
)

// form is a media type that a document is served in. Clients of old ask for a name with an @ in it, and are answered
// with the name that is valid.
type form struct {
	asked, answered string
	body            func() ([]byte, error)
}

func (d *document) forms(version string) []form {
	proto := "application/com.github.proto-openapi.spec." + version
	return []form{
		{"application/json", "application/json", d.json},
		{proto + "@v1.0+protobuf", proto + ".v1.0+protobuf", d.protobuf},
		{proto + ".v1.0+protobuf", proto + ".v1.0+protobuf", d.protobuf},
	}
}

// ServeV2 answers GET /openapi/v2.
func (s *Service) ServeV2(w http.ResponseWriter, r *http.Request) {
	s.v2.serve(w, r, "v2")
}

// ServeV3Index answers GET /openapi/v3.
func (s *Service) ServeV3Index(w http.ResponseWriter, _ *http.Request) {
	body, err := s.index()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8") // JSON, but that is what upstream has always called it
	w.Write(body)
}

// ServeV3 answers GET /openapi/v3/api/VERSION and /openapi/v3/apis/GROUP/VERSION. With ?hash= the answer may be kept for
// ever, because a document that changes changes its hash; an outdated hash is sent to the present one.
func (s *Service) ServeV3(w http.ResponseWriter, r *http.Request) {
	root := strings.TrimPrefix(r.URL.Path, "/openapi/v3/")
	doc, ok := s.v3[root]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	hash, err := doc.hash()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if asked := r.URL.Query().Get("hash"); asked != "" {
		if asked != hash {
			http.Redirect(w, r, documentURL(root, hash), http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Cache-Control", "public, immutable")
		w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	doc.serve(w, r, "v3")
}

func documentURL(root, hash string) string {
	return (&url.URL{Path: "/openapi/v3/" + root, RawQuery: url.Values{"hash": {hash}}.Encode()}).String()
}

// serve sends the document in the form that the client likes best.
func (d *document) serve(w http.ResponseWriter, r *http.Request, version string) {
	w.Header().Add("Vary", "Accept")
	w.Header().Add("Vary", "Accept-Encoding")
	form, ok := choose(r.Header.Get("Accept"), d.forms(version))
	if !ok {
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	hash, err := d.hash()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	etag := strconv.Quote(hash)
	w.Header().Set("Etag", etag)
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := form.body()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", form.answered)
	send(w, r, body)
}

// send writes a body that is kept compressed: as it is to clients that take it so, which is nearly all.
func send(w http.ResponseWriter, r *http.Request, zipped []byte) {
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(len(zipped)))
		w.Write(zipped)
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	// The only error left is that the client has gone.
	_, _ = io.Copy(w, z)
}

// choose returns the first form, in the order of the client's preference, that the client accepts.
func choose(accept string, forms []form) (form, bool) {
	if accept == "" {
		accept = "*/*"
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		for _, f := range forms {
			kind, sub, _ := strings.Cut(f.asked, "/")
			if (clause.Type == kind || clause.Type == "*") && (clause.SubType == sub || clause.SubType == "*") {
				return f, true
			}
		}
	}
	return form{}, false
}
