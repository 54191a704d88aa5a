package node

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/proxy"
)

// failure keeps the error of a proxy, for Connect to return.
type failure struct{ err error }

// Error is called once, before anything was written.
func (f *failure) Error(_ http.ResponseWriter, _ *http.Request, err error) { f.err = err }

// pass hands an upgrade on and then copies bytes. What the kubelet says instead of upgrading reaches the client as it is.
func (n *Nodes) pass(w http.ResponseWriter, r *http.Request, to *url.URL) error {
	var f failure
	proxy.NewUpgradeAwareHandler(to, n.kubelet, false, true, &f).ServeHTTP(w, withoutCredentials(r))
	return f.err
}

// withoutCredentials keeps the client's proof of itself, and whom it wants to be, from whoever is behind: they were for
// the API server.
func withoutCredentials(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	for name := range r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			r.Header.Del(name)
		}
	}
	return r
}

// offers says whether r is a WebSocket request that offers a subprotocol.
func offers(r *http.Request, protocol string) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	var offered []string
	for _, header := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(header, ",") {
			offered = append(offered, strings.TrimSpace(p))
		}
	}
	return slices.Contains(offered, protocol)
}
