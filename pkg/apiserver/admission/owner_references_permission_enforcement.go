package admission

import (
	"context"
	"fmt"
	"slices"

	"bonsai/pkg/apiserver/auth"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// OwnerReferencesPermissionEnforcement keeps people from having the garbage collector do what they may not: to give an object an owner
// is to have it deleted one day, and to block the deletion of an owner is to write its finalizers.
type OwnerReferencesPermissionEnforcement struct{ deps Deps }

// Name is upstream's.
func (OwnerReferencesPermissionEnforcement) Name() string {
	return "OwnerReferencesPermissionEnforcement"
}

// Admit does nothing.
func (OwnerReferencesPermissionEnforcement) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses. A pod's status says nothing of its owners, and kubelets write many.
func (p OwnerReferencesPermissionEnforcement) Validate(ctx context.Context, a *Attributes) error {
	next, ok := a.Object.(metav1.Object)
	if a.Operation != Create && a.Operation != Update || !ok || a.is("pods/status") {
		return nil
	}
	var before []metav1.OwnerReference
	if old, ok := a.Old.(metav1.Object); ok {
		before = old.GetOwnerReferences()
	}
	refs := next.GetOwnerReferences()
	if equality.Semantic.DeepEqual(refs, before) {
		return nil
	}
	if a.Operation == Update {
		request := auth.Request{User: a.User, Verb: "delete", IsResource: true, Group: a.Row.Group(), Version: a.Row.GVK().Version,
			Resource: a.Row.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name}
		if ok, why := p.may(ctx, request); !ok {
			return a.forbidden("cannot set an ownerRef on a resource you can't delete: %s", why)
		}
	}
	return p.blocks(ctx, a, newlyBlocking(refs, before))
}

// newlyBlocking are those references that block the deletion of their owner, and did not.
func newlyBlocking(refs, before []metav1.OwnerReference) (out []metav1.OwnerReference) {
	blocking := func(r metav1.OwnerReference) bool { return ptr.Deref(r.BlockOwnerDeletion, false) }
	for _, r := range refs {
		did := slices.ContainsFunc(before, func(b metav1.OwnerReference) bool { return b.UID == r.UID && blocking(b) })
		if blocking(r) && !did {
			out = append(out, r)
		}
	}
	return out
}

// blocks asks whether the user may write the finalizers of owners. Who may write all is not asked about each.
func (p OwnerReferencesPermissionEnforcement) blocks(ctx context.Context, a *Attributes, refs []metav1.OwnerReference) error {
	finalizers := auth.Request{User: a.User, Verb: "update", IsResource: true, Group: "*", Version: "*", Resource: "*", Subresource: "finalizers", Name: "*"}
	if len(refs) == 0 {
		return nil
	}
	if ok, _ := p.may(ctx, finalizers); ok {
		return nil
	}
	for _, ref := range refs {
		gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
		if p.deps.Kinds == nil {
			return a.forbidden("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %v Kind %v", ref.APIVersion, ref.Kind)
		}
		row, version, ok := p.deps.Kinds(gvk)
		if !ok {
			return a.forbidden("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %v Kind %v: no matches for kind %q in version %q",
				ref.APIVersion, ref.Kind, ref.Kind, ref.APIVersion)
		}
		finalizers.Group, finalizers.Version, finalizers.Resource, finalizers.Name = version.Group, version.Version, row.Resource, ref.Name
		if finalizers.Namespace = ""; row.Namespaced {
			finalizers.Namespace = a.Namespace
		}
		if ok, why := p.may(ctx, finalizers); !ok {
			return a.forbidden("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %s", why)
		}
	}
	return nil
}

// may asks the authorizer, and shows its reason as upstream does.
func (p OwnerReferencesPermissionEnforcement) may(ctx context.Context, r auth.Request) (bool, string) {
	if p.deps.Authorizer == nil {
		return true, ""
	}
	d, reason, err := p.deps.Authorizer.Authorize(ctx, r)
	return d == auth.Allow, fmt.Sprintf("%v, %v", reason, err)
}
