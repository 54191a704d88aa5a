package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Named is an authorizer with the name by which people have configured it; it is told with its reasons, so that who is refused knows
// whom to ask.
type Named struct {
	Name string
	Authorizer
}

// Authorizers ask each other's opinion in order.
type Authorizers []Named

// Default is the order of a cluster's authorizers: rest, which reads objects or asks others, is asked last.
func Default(g Getter, rest ...Named) Authorizers {
	return append(Authorizers{Superuser, {"node", Node{g}}}, rest...)
}

// Authorize returns the first Allow or Deny. An authorizer that fails is passed over, as another may allow; its error
// is told if none does.
func (as Authorizers) Authorize(ctx context.Context, r Request) (Decision, string, error) {
	var reasons []string
	var failed []error
	for _, a := range as {
		d, reason, err := a.Authorizer.Authorize(ctx, r)
		if err != nil {
			failed = append(failed, err)
		}
		if d != NoOpinion {
			return d, reason, err
		}
		if reason != "" {
			reasons = append(reasons, a.Name+": "+reason)
		}
	}
	return NoOpinion, strings.Join(reasons, "\n"), utilerrors.NewAggregate(failed)
}

// RuleLister lists the rules that a user has in a namespace, those of the whole cluster included. Incomplete says that there may be others; with
// an error the list may lack some.
type RuleLister interface {
	RulesFor(u User, namespace string) (rules []rbacv1.PolicyRule, incomplete bool, err error)
}

// RulesFor implements RuleLister by asking those who can list what they allow.
func (as Authorizers) RulesFor(u User, namespace string) (rules []rbacv1.PolicyRule, incomplete bool, err error) {
	var failed []error
	for _, a := range as {
		lister, ok := a.Authorizer.(RuleLister)
		if !ok {
			continue
		}
		more, some, err := lister.RulesFor(u, namespace)
		rules, incomplete = append(rules, more...), incomplete || some
		if err != nil {
			failed = append(failed, err)
		}
	}
	return rules, incomplete, utilerrors.NewAggregate(failed)
}

// Superuser is asked before all others in every cluster.
var Superuser = Named{"kubernetes.io/system-privileged-group", Masters{}}

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
