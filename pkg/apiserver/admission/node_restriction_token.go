package admission

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// token lets a node ask for tokens bound to its own pods, for the audiences that these pods ask for.
func (p NodeRestriction) token(ctx context.Context, a *Attributes, node string) error {
	req, ok := a.Object.(*authenticationv1.TokenRequest)
	if a.Operation != Create || !ok {
		return a.forbidden("unexpected operation %s", a.Operation)
	}
	ref := req.Spec.BoundObjectRef
	switch {
	case ref == nil, ref.APIVersion != "v1", ref.Kind != "Pod", ref.Name == "":
		return a.forbidden("node requested token not bound to a pod")
	case ref.UID == "":
		return a.forbidden("node requested token with a pod binding without a uid")
	}
	o, err := p.get.Get(ctx, schema.GroupResource{Resource: "pods"}, a.Namespace, ref.Name)
	if err != nil {
		return err
	}
	pod, ok := o.(*corev1.Pod)
	switch {
	case !ok:
		return a.wrongType(p.Name())
	case pod.UID != ref.UID:
		return a.forbidden("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != node:
		return a.forbidden("node requested token bound to a pod scheduled on a different node")
	case len(req.Spec.Audiences) > 1:
		return a.forbidden("node may only request 0 or 1 audiences")
	}
	for _, audience := range req.Spec.Audiences {
		if !asksFor(pod, audience) {
			return a.forbidden("audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience", audience, a.User.Name)
		}
	}
	return nil
}

// asksFor says whether a volume of the pod holds a token for the audience.
func asksFor(pod *corev1.Pod, audience string) bool {
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience {
				return true
			}
		}
	}
	return false
}
