package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
)

// podProxy forwards to a port of a pod; NAME may be NAME:PORT or SCHEME:NAME:PORT.
func (n *Nodes) podProxy(w http.ResponseWriter, r *http.Request, to Connection) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(to.Name)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", to.Name))
	}
	pod, err := find[*corev1.Pod](r.Context(), n, "pods", to.Namespace, name)
	if err != nil {
		return err
	}
	if port == "" {
		port = firstPort(pod)
	}
	if err := proxyable(pod.Status.PodIP); err != nil {
		return err
	}
	host := pod.Status.PodIP
	if port != "" {
		host = net.JoinHostPort(host, port)
	}
	return n.forward(w, r, &url.URL{Scheme: scheme, Host: host}, n.open, to.Path)
}

func firstPort(p *corev1.Pod) string {
	for _, c := range p.Spec.Containers {
		if len(c.Ports) > 0 {
			return strconv.Itoa(int(c.Ports[0].ContainerPort))
		}
	}
	return ""
}

// serviceProxy forwards to one of a service's ready pods.
func (n *Nodes) serviceProxy(w http.ResponseWriter, r *http.Request, to Connection) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(to.Name)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", to.Name))
	}
	host, err := n.endpoint(r.Context(), to.Namespace, name, port)
	if err != nil {
		return err
	}
	return n.forward(w, r, &url.URL{Scheme: scheme, Host: host}, n.open, to.Path)
}

// endpoint chooses a pod of a service at random; port is a name or a number of the service.
func (n *Nodes) endpoint(ctx context.Context, namespace, name, port string) (string, error) {
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		service, err := find[*corev1.Service](ctx, n, "services", namespace, name)
		if err != nil {
			return "", err
		}
		if port, err = portName(service, number); err != nil {
			return "", err
		}
	}
	eps, err := find[*corev1.Endpoints](ctx, n, "endpoints", namespace, name)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	if eps == nil { // which a service without pods may not have
		eps = &corev1.Endpoints{}
	}
	var hosts []string
	for _, s := range eps.Subsets {
		for _, p := range s.Ports {
			if p.Name != port {
				continue
			}
			for i := range s.Addresses {
				if n.isPodOf(ctx, namespace, &s.Addresses[i]) {
					hosts = append(hosts, net.JoinHostPort(s.Addresses[i].IP, strconv.Itoa(int(p.Port))))
				}
			}
		}
	}
	if len(hosts) == 0 {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	return hosts[rand.IntN(len(hosts))], nil
}

func portName(s *corev1.Service, number int64) (string, error) {
	for _, p := range s.Spec.Ports {
		if int64(p.Port) == number {
			return p.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, s.Name))
}

// isPodOf says whether an endpoint really is a pod of the namespace. Users may write endpoints; they must not make
// the API server connect to what only it can reach.
func (n *Nodes) isPodOf(ctx context.Context, namespace string, a *corev1.EndpointAddress) bool {
	if proxyable(a.IP) != nil || a.TargetRef == nil || a.TargetRef.Kind != "Pod" || a.TargetRef.Namespace != namespace {
		return false
	}
	pod, err := find[*corev1.Pod](ctx, n, "pods", namespace, a.TargetRef.Name)
	if err != nil {
		return false
	}
	for _, ip := range pod.Status.PodIPs {
		if ip.IP == a.IP {
			return true
		}
	}
	return pod.Status.PodIP == a.IP
}

// nodeProxy forwards to a node: to its kubelet if no other port is named.
func (n *Nodes) nodeProxy(w http.ResponseWriter, r *http.Request, to Connection) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(to.Name)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", to.Name))
	}
	kubelet, err := n.kubeletOf(r.Context(), name)
	if err != nil {
		return err
	}
	if port == "" || port == kubelet.Port() {
		return n.forward(w, r, kubelet, n.kubelet, to.Path)
	}
	if err := proxyable(kubelet.Hostname()); err != nil {
		return err
	}
	return n.forward(w, r, &url.URL{Scheme: scheme, Host: net.JoinHostPort(kubelet.Hostname(), port)}, n.open, to.Path)
}

// proxyable refuses addresses that mean the API server's own machine, or a whole network.
func proxyable(host string) error {
	ip := net.ParseIP(host)
	if ip == nil || ip.IsUnspecified() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsInterfaceLocalMulticast() {
		return apierrors.NewBadRequest("address not allowed")
	}
	return nil
}

// forward is a reverse proxy that rewrites the links in pages, so that a browser stays below the proxy's path.
// Who reads what is at the very top without a slash at the end is sent there, else relative links would lead beside it.
func (n *Nodes) forward(w http.ResponseWriter, r *http.Request, to *url.URL, trust http.RoundTripper, path string) error {
	if path = strings.TrimPrefix(path, "/"); path != "" {
		to.Path = "/" + path
	}
	if to.Scheme == "" {
		to.Scheme = "http"
	}
	if _, err := url.Parse(to.String()); err != nil { // such as a port that is none
		return apierrors.NewBadRequest(err.Error())
	}
	to.RawQuery = r.URL.RawQuery
	var f failure
	proxy.NewUpgradeAwareHandler(to, trust, true, false, &f).ServeHTTP(w, withoutCredentials(r))
	return f.err
}
