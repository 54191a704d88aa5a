package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// NamespaceLifecycle lets nothing be created in a namespace that is not there or is being deleted: its controller
// could never finish emptying it. The namespaces that the cluster itself needs cannot be deleted.
type NamespaceLifecycle struct{ get Getter }

// immortal are upstream's; kube-node-lease is not among them there either.
var immortal = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// Name is upstream's.
func (NamespaceLifecycle) Name() string { return "NamespaceLifecycle" }

// Admit refuses.
func (p NamespaceLifecycle) Admit(ctx context.Context, a *Attributes) error {
	if a.is("namespaces") {
		if a.Operation == Delete && slices.Contains(immortal, a.Name) {
			return a.forbidden("this namespace may not be deleted")
		}
		return nil
	}
	// What is there already may change and go. An access review must not tell who asks which namespaces there are.
	if a.Operation != Create || a.Namespace == "" || a.is("localsubjectaccessreviews.authorization.k8s.io") {
		return nil
	}
	o, err := p.get.Get(ctx, schema.GroupResource{Resource: "namespaces"}, "", a.Namespace)
	if apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	ns, ok := o.(*corev1.Namespace)
	if !ok {
		return a.wrongType(p.Name())
	}
	if ns.Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	refusal := a.forbidden("unable to create new content in namespace %s because it is being terminated", a.Namespace)
	refusal.ErrStatus.Details.Causes = append(refusal.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace",
		Message: "namespace " + a.Namespace + " is being terminated",
	})
	return refusal
}

// Validate does nothing.
func (NamespaceLifecycle) Validate(context.Context, *Attributes) error { return nil }
