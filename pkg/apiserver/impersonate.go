package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// impersonate lets a user act as another (kubectl --as), if the authorizers let it by one of the modes.
func (s *Server) impersonate(c *call, next handler) error {
	as, wanted, err := impersonated(c.r.Header)
	if err != nil {
		return err
	}
	if !wanted {
		s.lap(c, s.identity.steps.impersonation)
		return next(c)
	}
	began := s.now()
	as, mode, err := s.mayBe(c, as)
	c.took.impersonation = s.now().Sub(began)
	s.identity.impersonation.attempted(mode, err, c.took.impersonation)
	if err != nil {
		return err
	}
	s.log.Info("impersonation", "auditID", c.auditID, "user", c.user.Name, "as", as.Name)
	for name := range c.r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			c.r.Header.Del(name)
		}
	}
	c.record.Impersonated(as, mode)
	c.user = as
	c.r = c.r.WithContext(auth.WithUser(c.ctx(), as))
	s.lap(c, s.identity.steps.impersonation)
	return next(c)
}

// impersonated reads who a request wants to be.
func impersonated(h http.Header) (as auth.User, wanted bool, err error) {
	as = auth.User{Name: h.Get(authenticationv1.ImpersonateUserHeader), UID: h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: slices.Clone(h.Values(authenticationv1.ImpersonateGroupHeader))}
	for name, values := range h {
		key, ok := strings.CutPrefix(strings.ToLower(name), strings.ToLower(authenticationv1.ImpersonateUserExtraHeaderPrefix))
		if !ok {
			continue
		}
		if plain, err := url.PathUnescape(key); err == nil {
			key = plain
		}
		if as.Extra == nil {
			as.Extra = map[string][]string{}
		}
		as.Extra[key] = append(as.Extra[key], values...)
	}
	if as.Name == "" && !isOnlyName(as) {
		// The words are upstream's, its type's name included.
		return as, false, apierrors.NewBadRequest(fmt.Sprintf(
			"requested &user.DefaultInfo{Name:%q, UID:%q, Groups:%#v, Extra:%#v} without impersonating a user name", as.Name, as.UID, as.Groups, as.Extra))
	}
	return as, as.Name != "", nil
}

// isOnlyName tells whether an identity has nothing besides a name: node and account names imply the rest.
func isOnlyName(u auth.User) bool { return u.UID == "" && len(u.Groups) == 0 && len(u.Extra) == 0 }

// withCommonGroup adds the group of all who are authenticated or, for the anonymous user, of those who are not. Who asked to be one
// of the latter is not made one of the former.
func withCommonGroup(as auth.User) []string {
	common := auth.Authenticated
	if as.Name == auth.Anonymous {
		common = auth.Unauthenticated
	}
	if slices.Contains(as.Groups, common) || slices.Contains(as.Groups, auth.Unauthenticated) {
		return as.Groups
	}
	return append(slices.Clone(as.Groups), common)
}

// accountGroups are those of the service accounts of a namespace.
func accountGroups(namespace string) []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}
