package aggregation

import (
	"context"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

const (
	askWithin = 5 * time.Second
	// mostRead bounds a document: another server's mistake must not fill this one's memory.
	mostRead = 16 << 20
)

// Documents are what a server says about itself.
type Documents struct {
	Resources []metav1.APIResource
	// V3 is the URL of its OpenAPI v3 document with its hash; empty if it has none.
	V3 string
	// V2 is what its OpenAPI v2 document says of the version; nil if it has none. V2Hash changes with the document.
	V2     *spec.Swagger `json:"-"`
	V2Hash string

	tag string // of the v2 document, as its server calls it
}

// path is where the server lists what it serves.
func (u *Upstream) path() string {
	if u.GroupVersion.Group == "" {
		return "/api/" + u.GroupVersion.Version
	}
	return "/apis/" + u.GroupVersion.String()
}

// Ask finds out whether the server answers, and what it serves: its condition depends on the first, the rest is taken if it is there.
// before is what it has said last, or nil: the one document that is large is not sent again if it has not changed.
func (u *Upstream) Ask(ctx context.Context, before *Documents) (*Documents, error) {
	if u.broken != nil {
		return nil, u.broken
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	host, err := u.at(ctx)
	if err != nil {
		return nil, err
	}
	get := func(path string, into any) error {
		said, err := u.get(ctx, host, path, "")
		if err != nil {
			return err
		}
		return json.Unmarshal(said.body, into)
	}
	var list metav1.APIResourceList
	if err := get(u.path(), &list); err != nil {
		return nil, err
	}
	d := &Documents{Resources: list.APIResources}
	var index struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		} `json:"paths"`
	}
	if get("/openapi/v3", &index) == nil { // not every server has one
		d.V3 = index.Paths[u.path()[1:]].URL
	}
	if before == nil {
		before = &Documents{}
	}
	if said, err := u.get(ctx, host, "/openapi/v2", before.tag); err == nil {
		d.describe(said, before, u.path()+"/")
	}
	return d, nil
}

// describe takes what a server said of its OpenAPI v2: of all paths, those below root.
func (d *Documents) describe(said said, before *Documents, root string) {
	d.tag, d.V2Hash = said.tag, fmt.Sprintf("%X", sha512.Sum512(said.body))
	if said.same || d.V2Hash == before.V2Hash {
		d.V2, d.V2Hash, d.tag = before.V2, before.V2Hash, before.tag
		return
	}
	var all spec.Swagger
	if err := json.Unmarshal(said.body, &all); err != nil || all.Paths == nil {
		return // what cannot be read is not there, as for a server without one
	}
	d.V2 = aggregator.FilterSpecByPathsWithoutSideEffects(&all, []string{root})
}

// said is an answer; same if it is the one whose tag was sent.
type said struct {
	body []byte
	tag  string
	same bool
}

// get reads a document as the aggregator itself, who may read everything.
func (u *Upstream) get(ctx context.Context, host, path, tag string) (s said, err error) {
	at := (&url.URL{Scheme: "https", Host: host, Path: path}).String()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return s, err
	}
	r.Header.Set("Accept", "application/json")
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	transport.SetAuthProxyHeaders(r, "system:kube-aggregator", "", []string{"system:masters"}, nil)
	resp, err := watched{u.normal, u.cfg.Servers}.RoundTrip(r)
	if err != nil {
		u.normal.CloseIdleConnections()
		return s, fmt.Errorf("failing or missing response from %v: Get %q: %w", at, at, err)
	}
	defer resp.Body.Close()
	if tag != "" && resp.StatusCode == http.StatusNotModified {
		return said{same: true}, nil
	}
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return s, fmt.Errorf("failing or missing response from %v: bad status from %v: %d", at, at, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	if err != nil {
		return s, fmt.Errorf("failing or missing response from %v: %w", at, err)
	}
	return said{body: body, tag: resp.Header.Get("Etag")}, nil
}
