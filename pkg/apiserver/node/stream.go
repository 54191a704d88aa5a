package node

import (
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/apimachinery/pkg/util/remotecommand"
)

// exec runs a command in a container.
func (n *Nodes) exec(w http.ResponseWriter, r *http.Request, to Connection) error {
	return n.terminal(w, r, to, "/exec/", url.Values{"command": r.URL.Query()["command"]})
}

// attach joins the streams of a container's first process.
func (n *Nodes) attach(w http.ResponseWriter, r *http.Request, to Connection) error {
	return n.terminal(w, r, to, "/attach/", url.Values{})
}

// streams are those that a client wants.
type streams struct{ in, out, err, tty bool }

// addTo writes them as kubelets read them.
func (s streams) addTo(q url.Values) {
	for name, on := range map[string]bool{"input": s.in, "output": s.out, "error": s.err, "tty": s.tty} {
		if on {
			q.Set(name, "1")
		}
	}
}

// terminal is both: path and q are what the kubelet is asked, but for the streams.
func (n *Nodes) terminal(w http.ResponseWriter, r *http.Request, to Connection, path string, q url.Values) error {
	name, s, err := terminalOptions(r.URL.Query())
	if err != nil {
		return err
	}
	pod, err := find[*corev1.Pod](r.Context(), n, "pods", to.Namespace, to.Name)
	if err != nil {
		return err
	}
	if name, err = container(pod, name); err != nil {
		return err
	}
	if err := bound(pod); err != nil {
		return err
	}
	kubelet, err := n.kubeletFor(r.Context(), pod)
	if err != nil {
		return err
	}
	s.addTo(q)
	kubelet.Path = path + pod.Namespace + "/" + pod.Name + "/" + name
	kubelet.RawQuery = q.Encode()
	if offers(r, remotecommand.StreamProtocolV5Name) {
		return n.translate(w, r, kubelet, s)
	}
	return n.pass(w, r, kubelet)
}

// portForward carries connections to ports of a pod.
func (n *Nodes) portForward(w http.ResponseWriter, r *http.Request, to Connection) error {
	ports, err := forwardPorts(r.URL.Query())
	if err != nil {
		return err
	}
	pod, err := find[*corev1.Pod](r.Context(), n, "pods", to.Namespace, to.Name)
	if err != nil {
		return err
	}
	if err := bound(pod); err != nil {
		return err
	}
	kubelet, err := n.kubeletFor(r.Context(), pod)
	if err != nil {
		return err
	}
	q := url.Values{}
	for _, p := range ports {
		q.Add("port", strconv.Itoa(int(p)))
	}
	kubelet.Path = "/portForward/" + pod.Namespace + "/" + pod.Name
	kubelet.RawQuery = q.Encode()
	if offers(r, portforward.WebsocketsSPDYTunnelingPortForwardV1) {
		return n.tunnel(w, r, kubelet, to)
	}
	return n.pass(w, r, kubelet)
}
