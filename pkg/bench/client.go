package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// dialer opens connections; that of a node in a namespace does it there.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// client speaks as client-go does, over one HTTP/2 connection with a client certificate, and does nothing else: what it costs
// is the same for both servers, and little.
type client struct {
	base string
	tls  *tls.Config
	dial dialer
	http *http.Client
}

func newClient(kubeconfig, address string, dial dialer) (*client, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("https://"+address, kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	t, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	c := &client{base: "https://" + address, tls: t, dial: dial}
	c.http = c.connection()
	return c, nil
}

// connection makes what has a connection of its own, once it is used.
func (c *client) connection() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: c.tls.Clone(), ForceAttemptHTTP2: true, DisableCompression: true, DialContext: c.dial,
		MaxIdleConnsPerHost: 1, TLSHandshakeTimeout: 30 * time.Second,
		// A connection that waits for windows to open measures the waiting.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 20, MaxReceiveBufferPerConnection: 16 << 20},
	}}
}

// send makes a request and returns the answer, its body still to be read. An answer that is no success is an error.
func (c *client) send(ctx context.Context, h *http.Client, method, path, contentType string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Accept", accepted(contentType))
	}
	r.Header.Set("User-Agent", "bonsai-bench")
	resp, err := h.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		resp.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	}
	return resp, nil
}

// accepted is what a client that sends one type wants back: the same, but a patched object whole.
func accepted(contentType string) string {
	switch contentType {
	case strategicType, applyType:
		return jsonType
	}
	return contentType
}

// size makes a request, reads the answer, and returns how long that was.
func (c *client) size(ctx context.Context, method, path, contentType string, body []byte) (int64, error) {
	resp, err := c.send(ctx, c.http, method, path, contentType, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
}

func (c *client) get(ctx context.Context, path, accept string) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, path, accept, nil)
}

// ask makes a request and returns the body of the answer.
func (c *client) ask(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	resp, err := c.send(ctx, c.http, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Media types.
const (
	jsonType      = "application/json"
	protobufType  = "application/vnd.kubernetes.protobuf"
	strategicType = "application/strategic-merge-patch+json"
	applyType     = "application/apply-patch+yaml"
)

const (
	namespace = "bench"
	podsPath  = "/api/v1/namespaces/" + namespace + "/pods"

	leasesPath      = "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases"
	deploymentsPath = "/apis/apps/v1/namespaces/" + namespace + "/deployments"
)

// prepare makes what pods need: their namespace, and the account that admission gives them.
func (c *client) prepare(ctx context.Context) error {
	if _, err := c.size(ctx, http.MethodPost, "/api/v1/namespaces", jsonType, []byte(`{"metadata":{"name":"`+namespace+`"}}`)); err != nil {
		return err
	}
	_, err := c.size(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts", jsonType, []byte(`{"metadata":{"name":"default"}}`))
	return err
}

// createPod makes the i-th pod of a series and returns the size of the answer.
func (c *client) createPod(ctx context.Context, series string, i int) (int64, error) {
	return c.size(ctx, http.MethodPost, podsPath, jsonType, pod(series, i))
}
