package aggregation

import (
	"net/http"
	"net/url"
	"strings"

	"bonsai/pkg/apiserver/auth"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/client-go/transport"
)

// ServeHTTP passes the request on in the name of its user. What goes wrong on the way is said in plain text, as upstream says it.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, ok := auth.UserFrom(r.Context())
	switch {
	case !u.Available:
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	case u.broken != nil:
		http.Error(w, u.broken.Error(), http.StatusInternalServerError)
		return
	case !ok:
		http.Error(w, "missing user", http.StatusInternalServerError)
		return
	}
	host, err := u.at(r.Context())
	if err != nil {
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	}
	to := &url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawQuery: r.URL.Query().Encode()}
	out := r.Clone(r.Context())
	out.URL, out.Host = to, host
	// Whoever the client is, it proved that here; from here on the headers say it.
	for name := range out.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			out.Header.Del(name)
		}
	}
	out.Header.Del("Authorization")
	// The headers are set again by the round tripper, after those were taken out that the client's Connection header names: it might
	// name these.
	transport.SetAuthProxyHeaders(out, user.Name, user.UID, user.Groups, user.Extra)
	upgrade := httpstream.IsUpgradeRequest(r)
	through := transport.NewAuthProxyRoundTripper(user.Name, user.UID, user.Groups, user.Extra, watched{u.normal, u.cfg.Servers})
	if upgrade {
		through = u.upgrading
	}
	h := proxy.NewUpgradeAwareHandler(to, through, true, upgrade, responder{w})
	h.RejectForwardingRedirects = true
	h.ServeHTTP(w, out)
}

// responder says why nothing came back.
type responder struct{ w http.ResponseWriter }

func (r responder) Error(_ http.ResponseWriter, _ *http.Request, err error) {
	http.Error(r.w, err.Error(), http.StatusServiceUnavailable)
}
