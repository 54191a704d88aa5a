package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/utils/ptr"
)

// PersistentVolumeClaimResize lets a claim grow only if it is bound and its storage class can do that.
type PersistentVolumeClaimResize struct{ get Getter }

// Name is upstream's.
func (PersistentVolumeClaimResize) Name() string { return "PersistentVolumeClaimResize" }

// Admit does nothing.
func (PersistentVolumeClaimResize) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses.
func (p PersistentVolumeClaimResize) Validate(ctx context.Context, a *Attributes) error {
	if !a.is("persistentvolumeclaims") || a.Operation != Update {
		return nil
	}
	next, old, err := changeOf[*corev1.PersistentVolumeClaim](a, p.Name())
	if err != nil {
		return err
	}
	size := next.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case size.Cmp(old.Spec.Resources.Requests[corev1.ResourceStorage]) <= 0:
		return nil
	case old.Status.Phase != corev1.ClaimBound:
		return a.forbidden("Only bound persistent volume claims can be expanded")
	case !p.growing(ctx, next, old):
		return a.forbidden("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize")
	}
	return nil
}

// growing says whether the claim's class makes volumes that can grow.
func (p PersistentVolumeClaimResize) growing(ctx context.Context, next, old *corev1.PersistentVolumeClaim) bool {
	name := classOfClaim(next)
	if name == "" || name != classOfClaim(old) {
		return false
	}
	class, err := get[*storagev1.StorageClass](ctx, p.get, storageClasses, "", name)
	return err == nil && class != nil && ptr.Deref(class.AllowVolumeExpansion, false)
}

// classOfClaim is the class that a claim names; the annotation was first, and wins.
func classOfClaim(c *corev1.PersistentVolumeClaim) string {
	if class, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return ptr.Deref(c.Spec.StorageClassName, "")
}
