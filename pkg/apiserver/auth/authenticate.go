package auth

import (
	"errors"
	"net/http"
	"slices"
)

// union asks its members in turn.
type union struct {
	members   []Authenticator
	strangers Strangers
}

// Strangers says on which paths those who bring no credentials are let in, as system:anonymous; what they may do there is for the
// authorizers. The zero value lets nobody in.
type Strangers struct {
	Anywhere bool
	Paths    []string
}

func (s Strangers) welcome(path string) bool { return s.Anywhere || slices.Contains(s.Paths, path) }

// NewAuthenticator returns who asks as in turn. The first that knows the client decides. If none does and one of
// them found bad credentials, that is an error; who brings none may be a stranger. ok is false for the others.
func NewAuthenticator(strangers Strangers, as ...Authenticator) Authenticator {
	return union{as, strangers}
}

func (a union) Authenticate(r *http.Request) (User, bool, error) {
	var bad error
	for _, one := range a.members {
		u, ok, err := one.Authenticate(r)
		if ok && err == nil {
			u.Groups = withAuthenticated(u)
			return u, true, nil
		}
		bad = errors.Join(bad, err)
	}
	if bad == nil && a.strangers.welcome(r.URL.Path) {
		return User{Name: Anonymous, Groups: []string{Unauthenticated}}, true, nil
	}
	return User{}, false, bad
}

// withAuthenticated are u's groups and that of all who are authenticated. Somebody else may know u as anonymous: then it stays so.
func withAuthenticated(u User) []string {
	if u.Name == Anonymous || slices.Contains(u.Groups, Authenticated) || slices.Contains(u.Groups, Unauthenticated) {
		return u.Groups
	}
	return append(slices.Clone(u.Groups), Authenticated)
}
