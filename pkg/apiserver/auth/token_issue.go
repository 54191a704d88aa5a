package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bonsai/pkg/resource"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	defaultSeconds = 3600
	minSeconds     = 600
	maxSeconds     = 1 << 32
)

// Issue answers the create of serviceaccounts/token: it fills in req's defaults and status, and returns the name by which requests with
// the token will be known. Dry run is the same, as nothing is stored.
func (t *Tokens) Issue(ctx context.Context, sa *corev1.ServiceAccount, req *authenticationv1.TokenRequest) (credential string, err error) {
	if req.Spec.ExpirationSeconds == nil {
		seconds := int64(defaultSeconds)
		req.Spec.ExpirationSeconds = &seconds
	}
	if err := validate(sa, req); err != nil {
		return "", err
	}
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = t.audiences
	}
	now := t.now()
	c := claims{
		Claims: jwt.Claims{
			Issuer: t.issuer, Subject: accountPrefix + sa.Namespace + ":" + sa.Name,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ID: uuid.NewString(),
			Expiry: jwt.NewNumericDate(now.Add(time.Duration(*req.Spec.ExpirationSeconds) * time.Second)),
		},
		Audience: req.Spec.Audiences, Kubernetes: bound{Namespace: sa.Namespace, ServiceAccount: refTo(sa)},
	}
	if err := t.bind(ctx, sa, req.Spec.BoundObjectRef, &c.Kubernetes); err != nil {
		return "", err
	}
	token, err := jwt.Signed(t.signer).Claims(c).Serialize()
	if err != nil {
		return "", apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	req.UID, req.Name, req.Namespace, req.CreationTimestamp = sa.UID, sa.Name, sa.Namespace, metav1.NewTime(now)
	req.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(c.Expiry.Time())}
	return c.credential(), nil
}

func validate(sa *corev1.ServiceAccount, req *authenticationv1.TokenRequest) error {
	kind := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind()
	if req.Name != "" && req.Name != sa.Name {
		return apierrors.NewInvalid(kind, sa.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), req.Name, "must match the service account name if specified")})
	}
	if req.UID != "" && req.UID != sa.UID {
		return apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, sa.Name, fmt.Errorf(
			"the UID in the token request (%s) does not match the UID of the service account (%s)", req.UID, sa.UID))
	}
	var errs field.ErrorList
	seconds := field.NewPath("spec", "expirationSeconds")
	switch n := *req.Spec.ExpirationSeconds; {
	case n < minSeconds:
		errs = append(errs, field.Invalid(seconds, n, "may not specify a duration less than 10 minutes"))
	case n > maxSeconds:
		errs = append(errs, field.Invalid(seconds, n, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(kind, "", errs)
}

// bind writes the object that the client wants the token bound to into b.
func (t *Tokens) bind(ctx context.Context, sa *corev1.ServiceAccount, to *authenticationv1.BoundObjectReference, b *bound) error {
	if to == nil {
		return nil
	}
	gvk := schema.FromAPIVersionAndKind(to.APIVersion, to.Kind)
	var resource, namespace string
	switch gvk.GroupKind() {
	case schema.GroupKind{Kind: "Pod"}:
		resource, namespace = "pods", sa.Namespace
	case schema.GroupKind{Kind: "Secret"}:
		resource, namespace = "secrets", sa.Namespace
	case schema.GroupKind{Kind: "Node"}:
		resource = "nodes"
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk))
	}
	if to.Name == "" {
		return apierrors.NewBadRequest("Name parameter required.")
	}
	o, err := t.get.Get(ctx, schema.GroupResource{Resource: resource}, namespace, to.Name)
	if err != nil {
		return err
	}
	if to.UID != "" && to.UID != o.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, to.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	}
	r := refTo(o)
	switch o := o.(type) {
	case *corev1.Pod:
		return t.bindPod(ctx, sa, o, b)
	case *corev1.Secret:
		b.Secret = &r
	case *corev1.Node:
		b.Node = &r
	default:
		return apierrors.NewInternalError(errors.New("bind token: unexpected type of object"))
	}
	return nil
}

// bindPod notes the pod's node too, so that who is shown the token knows where it is from.
func (t *Tokens) bindPod(ctx context.Context, sa *corev1.ServiceAccount, p *corev1.Pod, b *bound) error {
	if p.Spec.ServiceAccountName != sa.Name {
		return apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", sa.Name))
	}
	r := refTo(p)
	b.Pod = &r
	if p.Spec.NodeName == "" {
		return nil
	}
	b.Node = &ref{Name: p.Spec.NodeName}
	n, err := t.get.Get(ctx, schema.GroupResource{Resource: "nodes"}, "", p.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	b.Node.UID = string(n.GetUID())
	return nil
}

func refTo(o resource.Object) ref { return ref{Name: o.GetName(), UID: string(o.GetUID())} }
