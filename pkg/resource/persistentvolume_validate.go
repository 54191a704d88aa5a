package resource

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validatePersistentVolume(v *corev1.PersistentVolume) field.ErrorList {
	return append(validateMeta(v, false, subdomainName), locate(atSpec, func(spec *place) field.ErrorList {
		return validateVolumeSpec(&v.Spec, v.Name, spec)
	})...)
}

// validateInlineVolume is for a volume that is part of an attachment and of no claim: it has a driver and what the driver
// needs, nothing else.
func validateInlineVolume(s *corev1.PersistentVolumeSpec, path *place) field.ErrorList {
	const context = " in the context of inline volumes"
	notHere := func(bad bool, name string) field.ErrorList {
		return when(bad, forbiddenAt(path.Child(name), "may not be specified"+context))
	}
	policy, mode := s.PersistentVolumeReclaimPolicy, s.VolumeMode
	none, sources := volumeSources(s, "", path)
	return join(
		notHere(s.ClaimRef != nil, "claimRef"),
		notHere(len(s.Capacity) != 0, "capacity"),
		when(s.CSI == nil, requiredAt(path.Child("csi"), "has to be specified"+context)),
		volumeAccessModes(s.AccessModes, path.Child("accessModes")),
		when(policy != "" && policy != corev1.PersistentVolumeReclaimRetain,
			forbiddenAt(path.Child("persistentVolumeReclaimPolicy"), "may only be Retain"+context)),
		notHere(s.NodeAffinity != nil, "nodeAffinity"),
		sources,
		when(none, requiredAt(path, "must specify a volume type")),
		notHere(s.StorageClassName != "", "storageClassName"),
		when(mode != nil && *mode != corev1.PersistentVolumeFilesystem,
			forbiddenAt(path.Child("volumeMode"), "may not specify volumeMode other than Filesystem"+context)),
		volumeAttributesClass(s, path),
	)
}

func validateVolumeSpec(s *corev1.PersistentVolumeSpec, name string, at *place) field.ErrorList {
	errs := join(volumeAccessModes(s.AccessModes, at.Child("accessModes")), volumeCapacity(s.Capacity, at.Child("capacity")))
	policy := s.PersistentVolumeReclaimPolicy
	if policy != "" {
		errs = append(errs, oneOf(policy, at.Child("persistentVolumeReclaimPolicy"), corev1.PersistentVolumeReclaimDelete,
			corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)...)
	}
	errs = append(errs, given(s.NodeAffinity, at.Child("nodeAffinity"), volumeNodeAffinity)...)
	none, sources := volumeSources(s, name, at)
	recycledRoot := s.HostPath != nil && path.Clean(s.HostPath.Path) == "/" && policy == corev1.PersistentVolumeReclaimRecycle
	errs = join(errs, sources,
		when(none, requiredAt(at, "must specify a volume type")),
		when(recycledRoot, forbiddenAt(at.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'")))
	if s.StorageClassName != "" {
		errs = append(errs, dnsSubdomain(s.StorageClassName, at.Child("storageClassName"))...)
	}
	return join(errs, given(s.VolumeMode, at.Child("volumeMode"), volumeMode), volumeAttributesClass(s, at))
}

func volumeMode(m *corev1.PersistentVolumeMode, path *place) field.ErrorList {
	return oneOf(*m, path, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
}

func volumeAccessModes(modes []corev1.PersistentVolumeAccessMode, path *place) field.ErrorList {
	return append(when(len(modes) == 0, requiredAt(path, "")), knownAccessModes(modes, path)...)
}

func volumeCapacity(list corev1.ResourceList, path *place) field.ErrorList {
	_, storage := list[corev1.ResourceStorage]
	errs := join(
		when(len(list) == 0, requiredAt(path, "")),
		when(!storage || len(list) > 1, notSupportedAt(path, list, []corev1.ResourceName{corev1.ResourceStorage})))
	for name, q := range sorted(list) {
		at := path.Key(string(name))
		errs = join(errs, basicQuantity(q, at), positiveQuantity(q, at))
	}
	return errs
}

func basicQuantity(q resource.Quantity, path *place) field.ErrorList {
	return when(q.Value() < 0, invalidAt(path, q.Value(), "must be a valid resource quantity"))
}

func positiveQuantity(q resource.Quantity, path *place) field.ErrorList {
	return when(q.Sign() <= 0, invalidAt(path, q.String(), "must be greater than zero"))
}

func volumeNodeAffinity(a *corev1.VolumeNodeAffinity, path *place) field.ErrorList {
	if a.Required == nil {
		return field.ErrorList{requiredAt(path.Child("required"), "must specify required node constraints")}
	}
	return nodeSelector(a.Required, path.Child("required"))
}

// volumeAttributesClass goes only with volumes of drivers, which alone know attributes.
func volumeAttributesClass(s *corev1.PersistentVolumeSpec, path *place) field.ErrorList {
	class := s.VolumeAttributesClassName
	if class == nil {
		return nil
	}
	at := path.Child("volumeAttributesClassName")
	errs := when(*class == "", requiredAt(at, "an empty string is disallowed"))
	if *class != "" {
		errs = dnsSubdomain(*class, at)
	}
	return append(errs, when(s.CSI == nil, requiredAt(path.Child("csi"), "has to be specified when using volumeAttributesClassName"))...)
}

func validatePersistentVolumeUpdate(next, old *corev1.PersistentVolume) field.ErrorList {
	errs := append(validateMetaUpdate(next, old), validatePersistentVolume(next)...)
	source, was := next.Spec.PersistentVolumeSource, old.Spec.PersistentVolumeSource
	if source.CSI != nil && was.CSI != nil && was.CSI.ControllerExpandSecretRef == nil {
		// A secret for growing the volume may come later than the volume.
		source = *source.DeepCopy()
		source.CSI.ControllerExpandSecretRef = nil
	}
	if !same(source, was) {
		errs = append(errs, forbiddenAt(newPlace("spec", "persistentvolumesource"),
			"spec.persistentvolumesource is immutable after creation\n"+diff.Diff(inGoNames{was}, inGoNames{source})))
	}
	errs = append(errs, immutable(next.Spec.VolumeMode, old.Spec.VolumeMode, newPlace("volumeMode"))...)
	if old.Spec.NodeAffinity != nil {
		errs = append(errs, immutableNodeAffinity(next.Spec.NodeAffinity, old.Spec.NodeAffinity, newPlace("nodeAffinity"))...)
	}
	dropped := old.Spec.VolumeAttributesClassName != nil && next.Spec.VolumeAttributesClassName == nil
	return append(errs, when(dropped, forbiddenAt(newPlace("spec", "volumeAttributesClassName"), "update from non-nil value to nil is forbidden"))...)
}

// newNodeLabels are the names that labels of nodes had in beta, and have now.
var newNodeLabels = map[string]string{
	corev1.LabelFailureDomainBetaZone:   corev1.LabelTopologyZone,
	corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
	corev1.LabelInstanceType:            corev1.LabelInstanceTypeStable,
}

// immutableNodeAffinity lets the labels in it change to their newer names, and nothing else.
func immutableNodeAffinity(next, old *corev1.VolumeNodeAffinity, path *place) field.ErrorList {
	if same(next, old) {
		return nil
	}
	renamed := old.DeepCopy()
	if next != nil && next.Required != nil && renamed.Required != nil {
		terms := renamed.Required.NodeSelectorTerms
		for i := range terms[:min(len(terms), len(next.Required.NodeSelectorTerms))] {
			renameKeys(&terms[i], &next.Required.NodeSelectorTerms[i])
		}
	}
	if same(next, renamed) {
		return nil
	}
	return field.ErrorList{invalidGoAt(path, next, apivalidation.FieldImmutableErrorMsg+", except for updating from beta label to GA")}
}

// renameKeys gives the labels of term the newer names that they have in next.
func renameKeys(term, next *corev1.NodeSelectorTerm) {
	for i := range term.MatchExpressions {
		e := &term.MatchExpressions[i]
		name, old := newNodeLabels[e.Key]
		if old && i < len(next.MatchExpressions) && next.MatchExpressions[i].Key == name {
			e.Key = name
		}
	}
}

// secretInNamespace is a secret that a volume names, which has no namespace of its own to look in.
func secretInNamespace(r *corev1.SecretReference, path *place) field.ErrorList {
	named := func(s, child string, check func(string, *place) field.ErrorList) field.ErrorList {
		if s == "" {
			return field.ErrorList{requiredAt(path.Child(child), "")}
		}
		return check(s, path.Child(child))
	}
	return join(named(r.Name, "name", dnsSubdomain), named(r.Namespace, "namespace", dnsLabel))
}
