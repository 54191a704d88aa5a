package aggregation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"
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
}

// path is where the server lists what it serves.
func (u *Upstream) path() string {
	if u.GroupVersion.Group == "" {
		return "/api/" + u.GroupVersion.Version
	}
	return "/apis/" + u.GroupVersion.String()
}

// Ask finds out whether the server answers, and what it serves: its condition depends on the first, the rest is taken if it is there.
func (u *Upstream) Ask(ctx context.Context) (*Documents, error) {
	if u.broken != nil {
		return nil, u.broken
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	host, err := u.at(ctx)
	if err != nil {
		return nil, err
	}
	get := func(path string, into any) error { return u.get(ctx, host, path, into) }
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
	return d, nil
}

// get reads a document as the aggregator itself, who may read everything.
func (u *Upstream) get(ctx context.Context, host, path string, into any) error {
	at := (&url.URL{Scheme: "https", Host: host, Path: path}).String()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	transport.SetAuthProxyHeaders(r, "system:kube-aggregator", "", []string{"system:masters"}, nil)
	resp, err := watched{u.normal, u.cfg.Servers}.RoundTrip(r)
	if err != nil {
		u.normal.CloseIdleConnections()
		return fmt.Errorf("failing or missing response from %v: Get %q: %w", at, at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("failing or missing response from %v: bad status from %v: %d", at, at, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRead))
	if err != nil {
		return fmt.Errorf("failing or missing response from %v: %w", at, err)
	}
	return json.Unmarshal(body, into)
}
