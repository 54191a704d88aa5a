// Package node is the API server's way out: to kubelets for the logs and streams of containers, and to pods, services
// and nodes for what they serve themselves. It is the one place where the API server is a client.
//
// # The problem
//
// kubectl reaches the API server only. What it asks of a container (log, exec, attach, port-forward) only the kubelet
// on the pod's node can give, so the API server looks up that node, dials it, and stands between the two for as long
// as the stream lasts. There are three ways of streaming by now: SPDY, which old clients and all kubelets speak;
// WebSockets with numbered channels, versions 1 to 5; and SPDY carried inside WebSocket messages, for port-forward.
//
// # The flow
//
// Connect resolves a request to a URL (a pure function of the objects and the query, but for reading them), and then
// takes the plainest way that works:
//
//	log                                an ordinary GET, its body copied as it comes, into the messages of a WebSocket if that is asked for (framelog.go)
//	SPDY, WebSocket up to version 4    the upgrade is passed on, and then bytes in both directions (pass.go)
//	WebSocket version 5                ends here, and its five channels become a SPDY connection (translate.go): only this version can say that
//	                                   stdin has ended, which the streaming servers of container runtimes do not know
//	SPDY inside WebSocket              is unpacked here and passed on as SPDY (tunnel.go)
//	proxy                              a reverse proxy, which may upgrade (proxy.go)
//
// # The guarantees
//
//   - A kubelet is spoken to only if its certificate is of the cluster's authority and for the address dialled; the
//     API server shows its own.
//   - Proxying does not lead to the API server's own machine: loopback and link-local addresses are refused, and a
//     service leads only to pods of its namespace.
//   - An error that Connect returns was not answered yet; the server turns it into a Status as any other.
package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Getter reads objects, which the caller does not change; it returns the API's NotFound.
type Getter interface {
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error)
	List(ctx context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error)
}

// Config is how to reach kubelets.
type Config struct {
	Get Getter
	// Client proves the API server to kubelets; Roots is the authority of their certificates.
	Client tls.Certificate
	Roots  *x509.CertPool
	// Counts, if set, counts logs.
	Counts *Metrics
}

// Connection names what a request leads to: pods/log, pods/exec, pods/attach, pods/portforward, pods/proxy,
// services/proxy or nodes/proxy. Path is what follows the subresource in the URL.
type Connection struct{ Resource, Subresource, Namespace, Name, Path string }

// Nodes serves connections.
type Nodes struct {
	get    Getter
	counts *Metrics
	// kubelet verifies kubelets; trusting does not, for who asks to see the log of a node whose certificate is
	// broken. open goes to pods, which may have any certificate.
	kubelet, trusting, open *http.Transport
}

// New returns the way out.
func New(c Config) *Nodes {
	certs := []tls.Certificate{c.Client}
	return &Nodes{
		get:      c.Get,
		counts:   c.Counts,
		kubelet:  transport(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: certs, RootCAs: c.Roots}),
		trusting: transport(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: certs, InsecureSkipVerify: true}),
		open:     transport(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}),
	}
}

// transport speaks HTTP/1.1 only: an HTTP/2 connection cannot be upgraded.
func transport(c *tls.Config) *http.Transport {
	c.NextProtos = []string{"http/1.1"}
	return &http.Transport{
		TLSClientConfig: c, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 8,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	}
}

// Connect serves the request.
func (n *Nodes) Connect(w http.ResponseWriter, r *http.Request, to Connection) error {
	switch to.Resource + "/" + to.Subresource {
	case "pods/log":
		return n.log(w, r, to)
	case "pods/exec":
		return n.exec(w, r, to)
	case "pods/attach":
		return n.attach(w, r, to)
	case "pods/portforward":
		return n.portForward(w, r, to)
	case "pods/proxy":
		return n.podProxy(w, r, to)
	case "services/proxy":
		return n.serviceProxy(w, r, to)
	case "nodes/proxy":
		return n.nodeProxy(w, r, to)
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: to.Resource + "/" + to.Subresource}, to.Name)
}

// find reads an object of the core group.
func find[T resource.Object](ctx context.Context, n *Nodes, kind, namespace, name string) (T, error) {
	var none T
	o, err := n.get.Get(ctx, schema.GroupResource{Resource: kind}, namespace, name)
	if err != nil {
		return none, err
	}
	t, ok := o.(T)
	if !ok {
		return none, apierrors.NewInternalError(fmt.Errorf("read %s %s: it is a %T", kind, name, o))
	}
	return t, nil
}

// kubeletFor returns the URL of the kubelet of a pod that has a node. If the node is gone, it is the pod that is not to be found.
func (n *Nodes) kubeletFor(ctx context.Context, p *corev1.Pod) (*url.URL, error) {
	to, err := n.kubeletOf(ctx, p.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		err = apierrors.NewNotFound(corev1.Resource("pods"), p.Spec.NodeName)
	}
	return to, err
}

// kubeletOf returns the URL of the kubelet on a node.
func (n *Nodes) kubeletOf(ctx context.Context, node string) (*url.URL, error) {
	o, err := find[*corev1.Node](ctx, n, "nodes", "", node)
	if err != nil {
		return nil, err
	}
	host, err := address(o)
	if err != nil {
		return nil, err
	}
	port := o.Status.DaemonEndpoints.KubeletEndpoint.Port
	if port == 0 {
		port = 10250
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
}

// address prefers the addresses by which a cluster's machines know each other. What is said if there is none is upstream's text.
func address(o *corev1.Node) (string, error) {
	for _, t := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName, corev1.NodeInternalDNS, corev1.NodeExternalDNS} {
		for _, a := range o.Status.Addresses {
			if a.Type == t && a.Address != "" {
				return a.Address, nil
			}
		}
	}
	return "", fmt.Errorf("no preferred addresses found; known addresses: %v", o.Status.Addresses)
}
