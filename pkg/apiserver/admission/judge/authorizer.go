package judge

import (
	"context"
	"strings"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// The authorizer variable of CEL is upstream's library, which speaks upstream's interfaces.

func userOf(u auth.User) user.Info {
	return &user.DefaultInfo{Name: u.Name, UID: u.UID, Groups: u.Groups, Extra: u.Extra}
}

// asAuthorizer lets expressions ask the server's own authorizer.
type asAuthorizer struct{ auth.Authorizer }

// Authorize asks.
func (z asAuthorizer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if z.Authorizer == nil {
		return authorizer.DecisionNoOpinion, "", nil
	}
	d, reason, err := z.Authorizer.Authorize(ctx, requestOf(a))
	switch d {
	case auth.Allow:
		return authorizer.DecisionAllow, reason, err
	case auth.Deny:
		return authorizer.DecisionDeny, reason, err
	}
	return authorizer.DecisionNoOpinion, reason, err
}

func requestOf(a authorizer.Attributes) auth.Request {
	r := auth.Request{
		Verb: a.GetVerb(), Group: a.GetAPIGroup(), Version: a.GetAPIVersion(), Resource: a.GetResource(),
		Subresource: a.GetSubresource(), Namespace: a.GetNamespace(), Name: a.GetName(),
		Path: a.GetPath(), IsResource: a.IsResourceRequest(),
	}
	if u := a.GetUser(); u != nil {
		r.User = auth.User{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()}
	}
	// What cannot be parsed narrows nothing, and is left out.
	if reqs, err := a.GetFieldSelector(); err == nil {
		var terms []fields.Selector
		for _, q := range reqs {
			terms = append(terms, fields.OneTermEqualSelector(q.Field, q.Value))
		}
		r.FieldSelector = fields.AndSelectors(terms...).String()
	}
	if reqs, err := a.GetLabelSelector(); err == nil {
		var terms []string
		for _, q := range reqs {
			terms = append(terms, q.String())
		}
		r.LabelSelector = strings.Join(terms, ",")
	}
	return r
}

// named is the request as the variable authorizer.requestResource sees it.
type named struct {
	a    *admission.Attributes
	form admission.Form
}

func (n named) GetName() string                          { return n.a.Name }
func (n named) GetNamespace() string                     { return n.a.Namespace }
func (n named) GetResource() schema.GroupVersionResource { return n.a.Form().Resource }
func (n named) GetSubresource() string                   { return n.a.Subresource }
