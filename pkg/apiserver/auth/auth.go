// Package auth answers the two questions about a request: who are you (Authenticator), and may you
// (Authorizer).
package auth

import (
	"context"
	"net/http"
)

// User is who made a request.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// Authenticator says who made a request. ok is false if it finds no credentials of its kind; err says that
// credentials were there and are bad.
type Authenticator interface {
	Authenticate(r *http.Request) (u User, ok bool, err error)
}

// Request is what an Authorizer is asked about. Verb is the API verb (get, list, watch, create, …), or the lower-case HTTP
// method for non-resource paths.
type Request struct {
	User                         User
	Verb                         string
	Group, Version, Resource     string
	Subresource, Namespace, Name string
	Path                         string
	IsResource                   bool
	FieldSelector, LabelSelector string
}

// Decision is an Authorizer's answer.
type Decision int

// The decisions. NoOpinion from every authorizer means no.
const (
	NoOpinion Decision = iota
	Allow
	Deny
)

// Authorizer says whether a request may go on, and why.
type Authorizer interface {
	Authorize(ctx context.Context, r Request) (d Decision, reason string, err error)
}

type userKey struct{}

// WithUser returns a context that carries u.
func WithUser(ctx context.Context, u User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// UserFrom returns the user of a request that was authenticated.
func UserFrom(ctx context.Context) (User, bool) {
	u, ok := ctx.Value(userKey{}).(User)
	return u, ok
}
