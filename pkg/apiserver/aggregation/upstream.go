package aggregation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"bonsai/pkg/apiserver/oldcert"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// Config is how to reach other servers.
type Config struct {
	// Client proves to them that this server may say who asks.
	Client tls.Certificate
	// Resolve finds where a service's port can be reached, as HOST:PORT.
	Resolve func(ctx context.Context, namespace, name string, port int32) (string, error)
	// Servers is where their certificates are looked at; nil if nobody wants to know.
	Servers *oldcert.Counts
}

// watched looks at whom answers are from.
type watched struct {
	http.RoundTripper
	servers *oldcert.Counts
}

// RoundTrip asks.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	w.servers.Look(r, resp, err)
	return resp, err
}

// Upstream is the server behind one APIService.
type Upstream struct {
	GroupVersion schema.GroupVersion
	Name         string
	Available    bool
	// GroupPriority and VersionPriority say where discovery lists it.
	GroupPriority, VersionPriority int32

	spec apiregistrationv1.APIServiceSpec
	cfg  Config
	// normal may speak HTTP/2; upgrading is for requests that become streams, which that cannot.
	normal, upgrading *http.Transport
	broken            error // of the trust
}

// Upstreams are all of them, by what they serve.
type Upstreams map[schema.GroupVersion]*Upstream

// NewUpstreams returns those of the APIServices that have a service. One of before that has the same spec keeps its connections.
func NewUpstreams(c Config, all []*apiregistrationv1.APIService, before Upstreams) Upstreams {
	out := Upstreams{}
	for _, a := range all {
		if a.Spec.Service == nil {
			continue
		}
		gv := schema.GroupVersion{Group: a.Spec.Group, Version: a.Spec.Version}
		u := &Upstream{GroupVersion: gv, Name: a.Name, Available: IsAvailable(a), spec: a.Spec, cfg: c,
			GroupPriority: a.Spec.GroupPriorityMinimum, VersionPriority: a.Spec.VersionPriority}
		if old := before[gv]; old != nil && sameTrust(&old.spec, &a.Spec) {
			u.normal, u.upgrading, u.broken = old.normal, old.upgrading, old.broken
		} else {
			u.connect()
		}
		out[gv] = u
	}
	for gv, old := range before {
		if next := out[gv]; (next == nil || next.normal != old.normal) && old.normal != nil {
			old.normal.CloseIdleConnections()
			old.upgrading.CloseIdleConnections()
		}
	}
	return out
}

func sameTrust(a, b *apiregistrationv1.APIServiceSpec) bool {
	return a.Service.Namespace == b.Service.Namespace && a.Service.Name == b.Service.Name &&
		a.InsecureSkipTLSVerify == b.InsecureSkipTLSVerify && bytes.Equal(a.CABundle, b.CABundle)
}

var errBundle = errors.New("unable to load root certificates: no valid certificate authority data seen")

// connect makes the transports. The name that the server's certificate must be for is that of its service.
func (u *Upstream) connect() {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: u.spec.InsecureSkipTLSVerify,
		ServerName: u.spec.Service.Name + "." + u.spec.Service.Namespace + ".svc"}
	if u.cfg.Client.Certificate != nil {
		t.Certificates = []tls.Certificate{u.cfg.Client}
	}
	if len(u.spec.CABundle) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(u.spec.CABundle) {
			u.broken = errBundle
		}
	}
	streaming := t.Clone()
	streaming.NextProtos = []string{"http/1.1"}
	u.normal, u.upgrading = dialer(t), dialer(streaming)
	u.normal.ForceAttemptHTTP2 = true
}

func dialer(t *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig: t, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 25,
		DisableCompression: true, // what the client accepts is for it and the server to agree on
		DialContext:        (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	}
}

// at returns where the server is now.
func (u *Upstream) at(ctx context.Context) (string, error) {
	ref := u.spec.Service
	return u.cfg.Resolve(ctx, ref.Namespace, ref.Name, *ref.Port)
}
