package resource

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateClaim(c *corev1.PersistentVolumeClaim) field.ErrorList {
	return append(validateMeta(c, true, subdomainName), validateClaimSpec(&c.Spec, atSpec)...)
}

func validateClaimUpdate(next, old *corev1.PersistentVolumeClaim) field.ErrorList {
	strict := metavalidation.LabelSelectorValidationOptions{}
	was := claimWas{
		foreignSource: old.Spec.DataSource != nil && old.Spec.DataSource.APIGroup != nil ||
			old.Spec.DataSourceRef != nil && old.Spec.DataSourceRef.APIGroup != nil,
		looseSelector: len(metavalidation.ValidateLabelSelector(old.Spec.Selector, strict, nil)) > 0,
	}
	return join(
		validateMetaUpdate(next, old),
		validateMeta(next, true, subdomainName),
		was.spec(&next.Spec, atSpec),
		changedClaim(next, old),
		claimSizes(next, old),
		immutable(next.Spec.VolumeMode, old.Spec.VolumeMode, newPlace("volumeMode")),
		claimAttributesClass(next, old),
	)
}

// changedClaim refuses every other change than those of the few fields that it puts back first: claims would evade quotas by
// changing. The volume, and the storage class, may be set once.
func changedClaim(next, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var errs field.ErrorList
	rest, was := next.Spec.DeepCopy(), old.Spec.DeepCopy()
	if was.VolumeName == "" {
		was.VolumeName = rest.VolumeName
	}
	if classMoved(next, old) {
		rest.StorageClassName = nil
	} else {
		class := func(c *corev1.PersistentVolumeClaim) string { return c.Annotations[corev1.BetaStorageClassAnnotation] }
		errs = immutable(class(next), class(old), newPlace("metadata", "annotations", corev1.BetaStorageClassAnnotation))
		annotated, has := old.Annotations[corev1.BetaStorageClassAnnotation]
		if is := rest.StorageClassName; is != nil && was.StorageClassName == nil && (!has || *is == annotated) {
			rest.StorageClassName = nil
		}
	}
	if next.Status.Phase == corev1.ClaimBound && rest.Resources.Requests != nil {
		rest.Resources.Requests[corev1.ResourceStorage] = was.Resources.Requests[corev1.ResourceStorage]
	}
	if next.Status.Phase == corev1.ClaimBound {
		rest.VolumeAttributesClassName = was.VolumeAttributesClassName
	}
	if !same(rest, was) {
		errs = append(errs, forbiddenAt(newPlace("spec"), "spec is immutable after creation except resources.requests and "+
			"volumeAttributesClassName for bound claims\n"+diff.Diff(inGoNames{was}, inGoNames{rest})))
	}
	return errs
}

// classMoved is whether the storage class moves from the annotation, where it stood in beta, to the field.
func classMoved(next, old *corev1.PersistentVolumeClaim) bool {
	was, had := old.Annotations[corev1.BetaStorageClassAnnotation]
	is, has := next.Annotations[corev1.BetaStorageClassAnnotation]
	field := next.Spec.StorageClassName
	return had && old.Spec.StorageClassName == nil && field != nil && *field == was && (!has || is == was)
}

// claimSizes lets a claim shrink only as far as the volume is still larger than before: back from a growth that failed.
func claimSizes(next, old *corev1.PersistentVolumeClaim) field.ErrorList {
	size, was := next.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
	have := old.Status.Capacity[corev1.ResourceStorage]
	tooSmall := size.Cmp(was) < 0 && size.Cmp(have) <= 0
	return when(tooSmall, forbiddenAt(newPlace("spec", "resources", "requests", "storage"), "field can not be less than status.capacity"))
}

// claimAttributesClass: a volume that has a class keeps one.
func claimAttributesClass(next, old *corev1.PersistentVolumeClaim) field.ErrorList {
	path, is, was := newPlace("spec", "volumeAttributesClassName"), next.Spec.VolumeAttributesClassName, old.Spec.VolumeAttributesClassName
	const kept = " is forbidden when status.currentVolumeAttributesClassName is not nil"
	switch {
	case old.Status.CurrentVolumeAttributesClassName == nil || same(is, was):
		return nil
	case is == nil:
		return field.ErrorList{forbiddenAt(path, "update to nil"+kept)}
	}
	return when(*is == "", forbiddenAt(path, "update to empty string"+kept))
}

func validateClaimStatusUpdate(next, old *corev1.PersistentVolumeClaim) field.ErrorList {
	s, path := &next.Status, newPlace("status")
	errs := join(validateMetaUpdate(next, old), when(len(next.Spec.AccessModes) == 0, requiredAt(newPlace("Spec", "accessModes"), "")))
	for name, q := range sorted(s.Capacity) {
		errs = append(errs, basicQuantity(q, path.Child("capacity").Key(string(name)))...)
	}
	for name, is := range sorted(s.AllocatedResourceStatuses) {
		at := path.Child("allocatedResourceStatuses")
		errs = append(errs, resizedResource(name, at)...)
		errs = append(errs, when(!slices.Contains(resizeStatuses, is), notSupportedAt(at, name, resizeStatuses))...)
	}
	for name, q := range sorted(s.AllocatedResources) {
		at := path.Child("allocatedResources")
		if wrong := resizedResource(name, at); len(wrong) > 0 {
			errs = append(errs, wrong...)
			continue
		}
		errs = append(errs, basicQuantity(q, at.Key(string(name)))...)
	}
	return errs
}

// resizeStatuses are how far the growing of a volume can have come.
var resizeStatuses = []corev1.ClaimResourceStatus{
	corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
	corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible,
	corev1.PersistentVolumeClaimNodeResizePending,
}

// resizedResource wants storage, or something with a domain that somebody else counts.
func resizedResource(name corev1.ResourceName, path *place) field.ErrorList {
	if errs := invalid(path, string(name), qualifiedProblems(string(name))); len(errs) > 0 {
		return errs
	}
	return when(isNative(name) && name != corev1.ResourceStorage, notSupportedAt(path, string(name), []corev1.ResourceName{corev1.ResourceStorage}))
}
