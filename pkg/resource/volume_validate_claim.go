package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ephemeralVolume validates the claim that is made for a pod and goes with it.
func ephemeralVolume(e *corev1.EphemeralVolumeSource, path *place) field.ErrorList {
	path = path.Child("volumeClaimTemplate")
	if e.VolumeClaimTemplate == nil {
		return field.ErrorList{requiredAt(path, "")}
	}
	meta, at := e.VolumeClaimTemplate.ObjectMeta, path.Child("metadata")
	return join(
		apivalidation.ValidateAnnotations(meta.Annotations, at.Child("annotations").path()),
		labelMap(meta.Labels, at.Child("labels")),
		onlyFields(meta, "cannot be set", at, "Annotations", "Labels"),
		validateClaimSpec(&e.VolumeClaimTemplate.Spec, path.Child("spec")),
	)
}

func validateClaimSpec(s *corev1.PersistentVolumeClaimSpec, path *place) field.ErrorList {
	errs := accessModes(s.AccessModes, path.Child("accessModes"))
	errs = append(errs, given(s.Selector, path.Child("selector"), validSelector)...)
	storage := path.Child("resources").Key(string(corev1.ResourceStorage))
	if q, ok := s.Resources.Requests[corev1.ResourceStorage]; !ok {
		errs = append(errs, requiredAt(storage, ""))
	} else {
		errs = append(errs, quantityFor(corev1.ResourceStorage, q, storage)...)
		errs = append(errs, when(q.Cmp(resource.Quantity{}) <= 0, invalidAt(path.Child("resources", "requests").Key(string(corev1.ResourceStorage)), q.String(), "must be greater than zero"))...)
	}
	if c := s.StorageClassName; c != nil && *c != "" {
		errs = append(errs, invalid(path.Child("storageClassName"), *c, subdomainName(*c, false))...)
	}
	if s.VolumeMode != nil {
		errs = append(errs, oneOf(*s.VolumeMode, path.Child("volumeMode"), corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	}
	return append(errs, given(s.DataSource, path.Child("dataSource"), dataSource)...)
}

func accessModes(modes []corev1.PersistentVolumeAccessMode, path *place) field.ErrorList {
	errs := when(len(modes) == 0, requiredAt(path, "at least 1 access mode is required"))
	alone := false
	for _, m := range modes {
		errs = append(errs, oneOf(m, path, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)...)
		alone = alone || m == corev1.ReadWriteOncePod
	}
	return append(errs, when(alone && len(modes) > 1, forbiddenAt(path, "may not use ReadWriteOncePod with other access modes"))...)
}

func dataSource(d *corev1.TypedLocalObjectReference, path *place) field.ErrorList {
	errs := join(present(d.Name, path.Child("name")), present(d.Kind, path.Child("kind")))
	group := ""
	if d.APIGroup != nil {
		group = *d.APIGroup
	}
	foreign := group == "" && d.Kind != "PersistentVolumeClaim"
	return append(errs, when(foreign, invalidAt(path, d.Kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))...)
}
