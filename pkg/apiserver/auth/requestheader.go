package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RequestHeader believes a proxy in front of the server, which has found out itself who asks and says so in headers. That a request
// comes from the proxy is proved by its certificate: one of an authority that signs for proxies, by a name that is allowed.
type RequestHeader struct {
	proxy Authenticator
	// names are the common names that a proxy may have; none means all that the authority has signed, so it should sign for nobody else.
	names []string
	// user, uid and group are headers; extra are prefixes of headers.
	user, uid, group, extra []string
}

// HeaderNames say which headers and which proxies RequestHeader goes by.
type HeaderNames struct {
	AllowedNames                    []string
	User, UID, Group, ExtraPrefixes []string
}

// NewRequestHeader believes the proxies whose certificates chain to roots.
func NewRequestHeader(roots Authorities, n HeaderNames, now func() time.Time) *RequestHeader {
	return &RequestHeader{proxy: NewX509(roots, now), names: n.AllowedNames, user: n.User, uid: n.UID, group: n.Group, extra: n.ExtraPrefixes}
}

// Authenticate implements Authenticator. A request without the headers is not the proxy's, whoever's certificate it shows.
func (h *RequestHeader) Authenticate(r *http.Request) (User, bool, error) {
	name := first(r.Header, h.user)
	if name == "" {
		return User{}, false, nil
	}
	proxy, ok, err := h.proxy.Authenticate(r)
	if !ok || err != nil {
		return User{}, false, err
	}
	if len(h.names) > 0 && !slices.Contains(h.names, proxy.Name) {
		return User{}, false, fmt.Errorf("x509: subject with cn=%s is not in the allowed list", proxy.Name)
	}
	u := User{Name: name, UID: first(r.Header, h.uid), Extra: h.extraOf(r.Header)}
	for _, header := range h.group {
		u.Groups = append(u.Groups, r.Header.Values(header)...)
	}
	h.clear(r.Header)
	return u, true, nil
}

func first(h http.Header, names []string) string {
	for _, n := range names {
		if v := h.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// extraKey is what of a header's name follows one of the prefixes.
func (h *RequestHeader) extraKey(header string) (string, bool) {
	for _, prefix := range h.extra {
		if key, ok := strings.CutPrefix(strings.ToLower(header), strings.ToLower(prefix)); ok {
			return key, true
		}
	}
	return "", false
}

func (h *RequestHeader) extraOf(headers http.Header) map[string][]string {
	var extra map[string][]string
	for name, values := range headers {
		key, ok := h.extraKey(name)
		if !ok {
			continue
		}
		if decoded, err := url.PathUnescape(key); err == nil { // headers cannot say every key as it is
			key = decoded
		}
		if extra == nil {
			extra = map[string][]string{}
		}
		extra[key] = append(extra[key], values...)
	}
	return extra
}

// clear removes what was meant for us alone, so that nobody behind us believes it too.
func (h *RequestHeader) clear(headers http.Header) {
	for name := range headers {
		if _, ok := h.extraKey(name); ok {
			delete(headers, name)
		}
	}
	for _, list := range [][]string{h.user, h.uid, h.group} {
		for _, n := range list {
			headers.Del(n)
		}
	}
}
