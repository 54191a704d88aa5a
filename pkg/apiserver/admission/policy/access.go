package policy

import (
	"context"
	"fmt"
	"slices"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
)

// What a policy says of its parameters can be read in messages: who writes it must be able to read them himself.

// checkAccess refuses policies and bindings whose parameters their writer may not read.
func (p *Validating) checkAccess(ctx context.Context, a *admission.Attributes) error {
	if a.Subresource != "" || a.Operation != admission.Create && a.Operation != admission.Update || slices.Contains(a.User.Groups, auth.Superusers) {
		return nil
	}
	kind, ref, policy := refersTo(a.Object)
	oldKind, oldRef, oldPolicy := refersTo(a.Old)
	switch {
	case kind != nil && !equality.Semantic.DeepEqual(kind, oldKind):
		return p.mayReadKind(ctx, a, kind)
	case ref != nil && (policy != oldPolicy || !equality.Semantic.DeepEqual(ref, oldRef)):
		return p.mayReadRef(ctx, a, ref, policy)
	}
	return nil
}

// refersTo returns what a policy, or a binding, says of parameters.
func refersTo(obj runtime.Object) (kind *admissionv1.ParamKind, ref *admissionv1.ParamRef, policy string) {
	switch o := obj.(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		return o.Spec.ParamKind, nil, ""
	case *admissionv1.MutatingAdmissionPolicy:
		return o.Spec.ParamKind, nil, ""
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		return nil, o.Spec.ParamRef, o.Spec.PolicyName
	case *admissionv1.MutatingAdmissionPolicyBinding:
		return nil, o.Spec.ParamRef, o.Spec.PolicyName
	}
	return nil, nil, ""
}

func (p *Validating) mayReadKind(ctx context.Context, a *admission.Attributes, kind *admissionv1.ParamKind) error {
	r := p.readOf(a.User, kind)
	r.Name, r.Namespace = "*", "*"
	return p.require(ctx, a, r, "paramKind", fmt.Sprintf(
		`user %v must have "get" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)`,
		shown(a.User), kind.Kind, kind.APIVersion))
}

func (p *Validating) mayReadRef(ctx context.Context, a *admission.Attributes, ref *admissionv1.ParamRef, policy string) error {
	r := p.readOf(a.User, p.paramKindOf(ctx, a, policy))
	r.Name, r.Namespace = ref.Name, ref.Namespace
	return p.require(ctx, a, r, "paramRef", fmt.Sprintf(
		`user %v does not have "get" permission on the object referenced by paramRef`, shown(a.User)))
}

// paramKindOf is that of the policy that a binding names, if it is there already.
func (p *Validating) paramKindOf(ctx context.Context, a *admission.Attributes, policy string) *admissionv1.ParamKind {
	resource := "validatingadmissionpolicies"
	if a.Row.Kind == "MutatingAdmissionPolicyBinding" {
		resource = "mutatingadmissionpolicies"
	}
	obj, err := p.Get.Get(ctx, schema.GroupResource{Group: admissionv1.GroupName, Resource: resource}, "", policy)
	if err != nil {
		return nil
	}
	kind, _, _ := refersTo(obj)
	return kind
}

// readOf asks for a get of the kind; of everything, if it is not known.
func (p *Validating) readOf(u auth.User, kind *admissionv1.ParamKind) auth.Request {
	r := auth.Request{User: u, Verb: "get", IsResource: true, Group: "*", Version: "*", Resource: "*"}
	if kind == nil {
		return r
	}
	gvk := schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind)
	r.Group, r.Version = gvk.Group, gvk.Version
	if row, _, ok := p.Kinds(gvk); ok {
		r.Resource = row.Resource
	}
	return r
}

func (p *Validating) require(ctx context.Context, a *admission.Attributes, r auth.Request, where, refusal string) error {
	d, _, err := p.Authorizer.Authorize(ctx, r)
	if err == nil && d == auth.Allow {
		return nil
	}
	if err != nil {
		refusal = err.Error()
	}
	return apierrors.NewInvalid(a.Row.GVK().GroupKind(), a.Object.(resource.Object).GetName(),
		field.ErrorList{field.Forbidden(field.NewPath("spec", where), refusal)})
}

// shown is a user as upstream prints one.
func shown(u auth.User) user.Info {
	return &user.DefaultInfo{Name: u.Name, UID: u.UID, Groups: u.Groups, Extra: u.Extra}
}
