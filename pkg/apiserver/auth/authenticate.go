package auth

import (
	"errors"
	"net/http"
	"slices"
)

// publicPaths are what upstream's role system:public-info-viewer opens to who brings no credentials.
var publicPaths = []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}

// union asks its members in turn.
type union []Authenticator

// NewAuthenticator returns who asks as in turn. The first that knows the client decides. If none does and one of
// them found bad credentials, that is an error; ok is false only for a client without any.
func NewAuthenticator(as ...Authenticator) Authenticator { return union(as) }

func (a union) Authenticate(r *http.Request) (User, bool, error) {
	var bad error
	for _, one := range a {
		u, ok, err := one.Authenticate(r)
		if ok && err == nil {
			if !slices.Contains(u.Groups, Authenticated) {
				u.Groups = append(slices.Clone(u.Groups), Authenticated)
			}
			return u, true, nil
		}
		bad = errors.Join(bad, err)
	}
	if bad == nil && slices.Contains(publicPaths, r.URL.Path) {
		return User{Name: Anonymous, Groups: []string{Unauthenticated}}, true, nil
	}
	return User{}, false, bad
}
