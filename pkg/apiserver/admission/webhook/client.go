package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"bonsai/pkg/apiserver/oldcert"

	reviewv1 "k8s.io/api/admission/v1"
	reviewv1beta1 "k8s.io/api/admission/v1beta1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// maxAnswer bounds what is read of an answer: a patch of the largest object, in base64, and what is around it.
const maxAnswer = 8 << 20

// client is a way to a webhook, with its connections.
type client struct {
	rest *rest.RESTClient
	http *http.Client
	kept bool
}

// clients are those that the configurations name, made when they are first needed.
type clients struct {
	resolve func(ctx context.Context, namespace, name string, port int32) (string, error)
	servers *oldcert.Counts
	proof   *Credentials
	mu      sync.Mutex
	byKey   map[string]*client
}

func (c *common) newClients(proof *Credentials) *clients {
	return &clients{resolve: c.Resolve, servers: c.Servers, proof: proof, byKey: map[string]*client{}}
}

func keyOf(cc *admissionv1.WebhookClientConfig) string {
	key, _ := json.Marshal(cc) // it came as JSON
	return string(key)
}

// get returns the client for cc.
func (c *clients) get(cc *admissionv1.WebhookClientConfig) (*client, error) {
	key := keyOf(cc)
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.byKey[key]; found != nil {
		return found, nil
	}
	made, err := c.make(cc)
	if err == nil {
		c.byKey[key] = made
	}
	return made, err
}

// begin, keep and drop forget the clients that are not named any more.

func (c *clients) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, each := range c.byKey {
		each.kept = false
	}
}

func (c *clients) keep(cc *admissionv1.WebhookClientConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.byKey[keyOf(cc)]; found != nil {
		found.kept = true
	}
}

func (c *clients) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, each := range c.byKey {
		if !each.kept {
			each.http.CloseIdleConnections()
			delete(c.byKey, key)
		}
	}
}

var codec = reviewCodec()

// reviewCodec reads and writes AdmissionReviews.
func reviewCodec() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{reviewv1.AddToScheme, reviewv1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // two types of one name: seen by the first test
		}
	}
	legacy := serializer.NewCodecFactory(scheme).LegacyCodec(reviewv1beta1.SchemeGroupVersion, reviewv1.SchemeGroupVersion)
	return serializer.NegotiatedSerializerWrapper(runtime.SerializerInfo{Serializer: legacy})
}

func (c *clients) make(cc *admissionv1.WebhookClientConfig) (*client, error) {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 25,
	}
	if len(cc.CABundle) > 0 {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(cc.CABundle) {
			return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
		}
	}
	cfg := &rest.Config{QPS: -1, UserAgent: "kube-apiserver-admission", ContentConfig: rest.ContentConfig{NegotiatedSerializer: codec, ContentType: runtime.ContentTypeJSON}}
	var err error
	switch {
	case cc.Service != nil:
		c.toService(cc.Service, cfg, transport)
	case cc.URL != nil:
		err = toURL(*cc.URL, cfg, transport)
	default:
		err = errors.New("webhook configuration must have either service or URL")
	}
	if err != nil {
		return nil, err
	}
	through, err := c.proof.prove(targetOf(cc), transport, bounded{transport, c.servers})
	if err != nil {
		return nil, err
	}
	made := &http.Client{Transport: through, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	restClient, err := rest.UnversionedRESTClientForConfigAndClient(cfg, made)
	return &client{rest: restClient, http: made, kept: true}, err
}

// targetOf is HOST:PORT of a webhook.
func targetOf(cc *admissionv1.WebhookClientConfig) string {
	if s := cc.Service; s != nil {
		port := int32(443)
		if s.Port != nil {
			port = *s.Port
		}
		return net.JoinHostPort(s.Name+"."+s.Namespace+".svc", strconv.Itoa(int(port)))
	}
	u, err := url.Parse(*cc.URL)
	if err != nil {
		return "" // which toURL has told
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return u.Host
}

// toURL goes to the host of a URL. More than one connection is used, unless it is on this machine: behind one address may be many
// servers, and HTTP/2 would stay with one.
func toURL(text string, cfg *rest.Config, t *http.Transport) error {
	u, err := url.Parse(text)
	if err != nil {
		//lint:ignore ST1005 clients see this text
		return fmt.Errorf("Unparsable URL: %v", err)
	}
	cfg.Host, cfg.APIPath = u.Scheme+"://"+u.Host, u.Path
	t.Proxy = http.ProxyFromEnvironment
	t.ForceAttemptHTTP2 = isLoopback(u.Hostname())
	return nil
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// toService goes to an endpoint of a service, and expects a certificate for the service's name.
func (c *clients) toService(s *admissionv1.ServiceReference, cfg *rest.Config, t *http.Transport) {
	port := int32(443)
	if s.Port != nil {
		port = *s.Port
	}
	name := s.Name + "." + s.Namespace + ".svc"
	cfg.Host = "https://" + net.JoinHostPort(name, strconv.Itoa(int(port)))
	if s.Path != nil {
		cfg.APIPath = *s.Path
	}
	t.TLSClientConfig.ServerName = name
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		addr, err := c.resolve(ctx, s.Namespace, s.Name, port)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}

// bounded cuts answers off, and looks at whom they are from.
type bounded struct {
	*http.Transport
	servers *oldcert.Counts
}

// RoundTrip asks.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	b.servers.Look(r, resp, err)
	if err == nil {
		resp.Body = limitedBody{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

type limitedBody struct {
	io.Reader
	io.Closer
}
