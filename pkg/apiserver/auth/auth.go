// Package auth answers the two questions about a request: who are you (Authenticator), and may you (Authorizer).
//
// # Who are you
//
// A client proves itself by a certificate of the cluster's authority (NewX509: the common name is the user, the
// organizations are its groups) or by a token (Bearer), which several recognisers are shown in turn: service account tokens (Tokens: a
// JWT that this server signed, still bound to objects that exist), bootstrap tokens (NewBootstrapTokens), those of other issuers
// (OIDC), those that somebody else has to be asked about (webhook), those of a file. NewAuthenticator asks all ways in turn. Credentials
// that are there but bad are an error, and so a 401, never a quiet fall back to less; who brings none at all is
// system:anonymous, who may as little as the authorizers let it.
//
// # May you
//
// Who is asked is configured (package authorization). Usually these, in this order: Masters (the group system:masters may do everything, also
// when everything else is broken), Node (a kubelet reaches what the pods bound to its node need, and nothing else), and RBAC objects
// (package rbac). The first Allow or Deny decides; nobody's opinion means no. What RBAC objects say before
// anybody has written any is in package policy.
//
// Who brings no credentials is system:anonymous, unless that is switched off or held to some paths. What he may do is for the authorizers as
// with anybody else; the default bindings grant him the health and version paths.
//
// # What a server must add
//
// The reading of objects: Getter. Its answers may come from the image without waiting for a quorum read where the
// object is found there; a token of an object deleted a moment ago is accepted that moment longer, as it is upstream.
package auth

import (
	"context"
	"net/http"

	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// User is who made a request.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
	// Remarks are on the credentials by which the user has proved itself; nil if there is nothing to say.
	Remarks *Remarks
}

// Remarks are what clients, by a warning, and the audit log are told about credentials that are good, but not as they should be.
type Remarks struct {
	Warnings []string
	Audit    map[string]string
}

// Authenticator says who made a request. ok is false if it finds no credentials of its kind; err says that
// credentials were there and are bad.
type Authenticator interface {
	Authenticate(r *http.Request) (u User, ok bool, err error)
}

// Request is what an Authorizer is asked about. Verb is the API verb (get, list, watch, create, …), or the lower-case
// HTTP method for non-resource paths.
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

// Getter reads objects, which the caller does not change.
type Getter interface {
	// Get returns an object in its storage version, or the API's NotFound.
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error)
	// PodsOn returns the pods bound to a node.
	PodsOn(ctx context.Context, node string) ([]*corev1.Pod, error)
}

// The users and groups that the server itself knows.
const (
	Anonymous       = "system:anonymous"
	Unauthenticated = "system:unauthenticated"
	Authenticated   = "system:authenticated"
	Superusers      = "system:masters"
	NodesGroup      = "system:nodes"
	NodePrefix      = "system:node:"
)

type hearKey struct{}

// HearRemarks returns a context for a question about credentials that are not those of who asks: hear is told the remarks on them.
func HearRemarks(ctx context.Context, hear func(*Remarks)) context.Context {
	return context.WithValue(ctx, hearKey{}, hear)
}

// remark tells who wants to hear it.
func remark(ctx context.Context, r *Remarks) {
	if hear, ok := ctx.Value(hearKey{}).(func(*Remarks)); ok && r != nil {
		hear(r)
	}
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
