package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Authorizers ask each other's opinion in order.
type Authorizers []Authorizer

// Default is the order of a cluster's authorizers: rest, which reads objects or asks others, is asked last.
func Default(g Getter, rest ...Authorizer) Authorizers {
	return append(Authorizers{Masters{}, Node{g}}, rest...)
}

// Authorize returns the first Allow or Deny. An authorizer that fails is passed over, as another may allow; its error
// is told if none does.
func (as Authorizers) Authorize(ctx context.Context, r Request) (Decision, string, error) {
	var reasons []string
	var failed error
	for _, a := range as {
		d, reason, err := a.Authorize(ctx, r)
		if err != nil {
			failed = errors.Join(failed, err)
		}
		if d != NoOpinion {
			return d, reason, err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return NoOpinion, strings.Join(reasons, "\n"), failed
}

// Masters lets the group system:masters do everything. It reads nothing, so it also works when the store does not.
type Masters struct{}

// Authorize allows the group.
func (Masters) Authorize(_ context.Context, r Request) (Decision, string, error) {
	if slices.Contains(r.User.Groups, Superusers) {
		return Allow, "", nil
	}
	return NoOpinion, "", nil
}

// sanitizer keeps a client's own words from becoming HTML in somebody's browser.
var sanitizer = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Sanitize takes what would be HTML out of a message with a client's words in it.
func Sanitize(message string) string { return sanitizer.Replace(message) }

// Forbidden is the 403 for a request that was not allowed.
func Forbidden(r Request, reason string) *apierrors.StatusError {
	msg := sanitizer.Replace(r.sentence())
	if reason != "" {
		msg += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: r.Group, Resource: r.Resource}, r.Name, errors.New(msg))
}

// sentence says what is not allowed.
func (r Request) sentence() string {
	if !r.IsResource {
		return fmt.Sprintf("User %q cannot %s path %q", r.User.Name, r.Verb, r.Path)
	}
	what := r.Resource
	if r.Subresource != "" {
		what += "/" + r.Subresource
	}
	where := "at the cluster scope"
	if r.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", r.Namespace)
	}
	return fmt.Sprintf("User %q cannot %s resource %q in API group %q %s", r.User.Name, r.Verb, what, r.Group, where)
}
