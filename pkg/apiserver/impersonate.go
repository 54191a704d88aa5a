package apiserver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// impersonate lets a user act as another (kubectl --as), if the authorizers let it impersonate every part of that identity.
func (s *Server) impersonate(c *call, next handler) error {
	as, wanted, err := impersonated(c.r.Header)
	if err != nil {
		return err
	}
	if !wanted {
		return next(c)
	}
	for _, ask := range impersonationRequests(c.user, as) {
		if d, reason, err := s.cfg.Authorizer.Authorize(c.ctx(), ask); d != auth.Allow {
			if err != nil {
				s.log.Warn("authorizer failed", "auditID", c.auditID, "error", err)
			}
			return auth.Forbidden(ask, reason)
		}
	}
	s.log.Info("impersonation", "auditID", c.auditID, "user", c.user.Name, "as", as.Name)
	if len(as.Groups) == 0 {
		as.Groups = impliedGroups(as.Name)
	}
	as.Groups = withCommonGroup(as)
	for name := range c.r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			c.r.Header.Del(name)
		}
	}
	c.record.Impersonated(as)
	c.user = as
	c.r = c.r.WithContext(auth.WithUser(c.ctx(), as))
	return next(c)
}

// impersonated reads who a request wants to be.
func impersonated(h http.Header) (as auth.User, wanted bool, err error) {
	as = auth.User{Name: h.Get(authenticationv1.ImpersonateUserHeader), UID: h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: append([]string{}, h.Values(authenticationv1.ImpersonateGroupHeader)...)}
	for name, values := range h {
		key, ok := strings.CutPrefix(strings.ToLower(name), strings.ToLower(authenticationv1.ImpersonateUserExtraHeaderPrefix))
		if !ok {
			continue
		}
		if key, err = url.PathUnescape(key); err != nil {
			return as, false, apierrors.NewBadRequest("invalid impersonation header " + name + ": " + err.Error())
		}
		if as.Extra == nil {
			as.Extra = map[string][]string{}
		}
		as.Extra[key] = values
	}
	if as.Name == "" && (as.UID != "" || len(as.Groups) > 0 || len(as.Extra) > 0) {
		return as, false, apierrors.NewBadRequest("requested impersonation without a user to impersonate")
	}
	return as, as.Name != "", nil
}

// impersonationRequests are what the authorizers are asked: one question for each part of the identity.
func impersonationRequests(user, as auth.User) []auth.Request {
	ask := func(group, resource, sub, namespace, name string) auth.Request {
		return auth.Request{User: user, Verb: "impersonate", IsResource: true, Group: group, Version: "v1",
			Resource: resource, Subresource: sub, Namespace: namespace, Name: name}
	}
	var out []auth.Request
	if namespace, name, ok := serviceAccountOf(as.Name); ok {
		out = append(out, ask("", "serviceaccounts", "", namespace, name))
	} else {
		out = append(out, ask("", "users", "", "", as.Name))
	}
	for _, g := range as.Groups {
		out = append(out, ask("", "groups", "", "", g))
	}
	if as.UID != "" {
		out = append(out, ask(authenticationv1.GroupName, "uids", "", "", as.UID))
	}
	for key, values := range as.Extra {
		for _, v := range values {
			out = append(out, ask(authenticationv1.GroupName, "userextras", key, "", v))
		}
	}
	return out
}

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
	return append(as.Groups, common)
}

// impliedGroups are those of a service account, which follow from its name.
func impliedGroups(name string) []string {
	namespace, _, ok := serviceAccountOf(name)
	if !ok {
		return nil
	}
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}

// serviceAccountOf takes the user name of a service account apart.
func serviceAccountOf(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}
