package resource

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
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

// claimWas is what the claim was before: what it has already is not refused again.
type claimWas struct{ foreignSource, looseSelector bool }

func validateClaimSpec(s *corev1.PersistentVolumeClaimSpec, path *place) field.ErrorList {
	return claimWas{}.spec(s, path)
}

func (was claimWas) spec(s *corev1.PersistentVolumeClaimSpec, path *place) field.ErrorList {
	errs := when(len(s.AccessModes) == 0, requiredAt(path.Child("accessModes"), "at least 1 access mode is required"))
	if s.Selector != nil {
		loosely := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: was.looseSelector}
		errs = append(errs, metavalidation.ValidateLabelSelector(s.Selector, loosely, path.Child("selector").path())...)
	}
	errs = append(errs, knownAccessModes(s.AccessModes, path.Child("accessModes"))...)
	errs = append(errs, claimedStorage(s, path.Child("resources").Key(string(corev1.ResourceStorage)))...)
	if c := s.StorageClassName; c != nil && *c != "" {
		errs = append(errs, dnsSubdomain(*c, path.Child("storageClassName"))...)
	}
	errs = append(errs, given(s.VolumeMode, path.Child("volumeMode"), volumeMode)...)
	errs = append(errs, was.dataSources(s, path)...)
	if c := s.VolumeAttributesClassName; c != nil && *c != "" {
		errs = append(errs, dnsSubdomain(*c, path.Child("volumeAttributesClassName"))...)
	}
	return errs
}

func claimedStorage(s *corev1.PersistentVolumeClaimSpec, path *place) field.ErrorList {
	q, ok := s.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		return field.ErrorList{requiredAt(path, "")}
	}
	return positiveQuantity(q, path)
}

func knownAccessModes(modes []corev1.PersistentVolumeAccessMode, path *place) field.ErrorList {
	var errs field.ErrorList
	alone, others := false, false
	for _, m := range modes {
		unknown := oneOf(m, path, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)
		errs = append(errs, unknown...)
		alone = alone || m == corev1.ReadWriteOncePod
		others = others || m != corev1.ReadWriteOncePod && len(unknown) == 0
	}
	return append(errs, when(alone && others, forbiddenAt(path, "may not use ReadWriteOncePod with other access modes"))...)
}

// dataSources validates what the volume is filled from. The two fields say the same, unless it is in another namespace, which
// only the newer one can say.
func (was claimWas) dataSources(s *corev1.PersistentVolumeClaimSpec, path *place) field.ErrorList {
	source, ref := s.DataSource, s.DataSourceRef
	var errs field.ErrorList
	if source != nil {
		errs = was.dataSource(source, path.Child("dataSource"))
	}
	if ref != nil {
		errs = append(errs, was.dataSource(&corev1.TypedLocalObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}, path.Child("dataSourceRef"))...)
		if ns := ref.Namespace; ns != nil && *ns != "" {
			errs = append(errs, invalid(path.Child("dataSourceRef", "namespace"), *ns, apivalidation.ValidateNamespaceName(*ns, false))...)
		}
	}
	// The value that these two show is a path, not a source: upstream's history.
	at := path.Child("dataSource").path()
	switch {
	case source == nil || ref == nil:
		return errs
	case ref.Namespace != nil && *ref.Namespace != "":
		return append(errs, invalidAt(path, at, "may not be specified when dataSourceRef.namespace is specified"))
	}
	matches := same(source, &corev1.TypedLocalObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name})
	return append(errs, when(!matches, invalidAt(path, at, "must match dataSourceRef"))...)
}

func (was claimWas) dataSource(d *corev1.TypedLocalObjectReference, path *place) field.ErrorList {
	errs := join(present(d.Name, path.Child("name")), present(d.Kind, path.Child("kind")))
	if d.APIGroup == nil || *d.APIGroup == "" {
		foreign := d.Kind != "PersistentVolumeClaim"
		return append(errs, when(foreign, invalidAt(path, d.Kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))...)
	}
	if was.foreignSource {
		return errs
	}
	return append(errs, dnsSubdomain(*d.APIGroup, path.Child("apiGroup"))...)
}
