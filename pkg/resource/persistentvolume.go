package resource

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// persistentVolumes are storage that outlives pods. Most are made by a driver for a claim, some by an administrator by hand.
func persistentVolumes() *Row {
	return Row{
		Resource: "persistentvolumes", Singular: "persistentvolume", Kind: "PersistentVolume",
		ShortNames: []string{"pv"},
		Versions:   []Version{servedAs[corev1.PersistentVolume, corev1.PersistentVolumeList](corev1.SchemeGroupVersion)},
		Prefix:     "persistentvolumes",
		Columns:    persistentVolumeColumns(), DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.PersistentVolume]{
		Default: defaultPersistentVolume,
		PrepareCreate: func(v *corev1.PersistentVolume) {
			v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending}
		},
		PrepareUpdate:  func(next, old *corev1.PersistentVolume) { next.Status = *old.Status.DeepCopy() },
		Sign:           func(v *corev1.PersistentVolume, by Signature) { v.Status.LastPhaseTransitionTime = &by.Now },
		Validate:       validatePersistentVolume,
		ValidateUpdate: validatePersistentVolumeUpdate,
		Warnings:       persistentVolumeWarnings,
		Cells:          persistentVolumeCells,
		PrepareStatus:  preparePersistentVolumeStatus,
		SignStatus:     signPersistentVolumeStatus,
		ValidateStatus: func(next, old *corev1.PersistentVolume) field.ErrorList { return validateMetaUpdate(next, old) },
	}))
}

func defaultPersistentVolume(v *corev1.PersistentVolume) {
	or(&v.Status.Phase, corev1.VolumePending)
	or(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	orPtr(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	defaultVolumeSpec(&v.Spec)
}

// defaultVolumeSpec is for volumes that are part of something else too.
func defaultVolumeSpec(s *corev1.PersistentVolumeSpec) {
	roundUp(s.Capacity)
	if s.HostPath != nil {
		orPtr(&s.HostPath.Type, corev1.HostPathUnset)
	}
	if s.ISCSI != nil {
		or(&s.ISCSI.ISCSIInterface, "default")
	}
	if s.RBD != nil {
		or(&s.RBD.RBDPool, "rbd")
		or(&s.RBD.RadosUser, "admin")
		or(&s.RBD.Keyring, "/etc/ceph/keyring")
	}
	if s.AzureDisk != nil {
		defaultAzureDisk(s.AzureDisk)
	}
	if s.ScaleIO != nil {
		or(&s.ScaleIO.StorageMode, "ThinProvisioned")
		or(&s.ScaleIO.FSType, "xfs")
	}
}

func preparePersistentVolumeStatus(next, old *corev1.PersistentVolume) {
	next.Spec = *old.Spec.DeepCopy()
	if next.Status.Phase == old.Status.Phase && next.Status.LastPhaseTransitionTime == nil {
		next.Status.LastPhaseTransitionTime = old.Status.LastPhaseTransitionTime
	}
}

// signPersistentVolumeStatus notes when the phase changed, unless whoever changed it has.
func signPersistentVolumeStatus(next, old *corev1.PersistentVolume, by Signature) {
	t := next.Status.LastPhaseTransitionTime
	if next.Status.Phase != old.Status.Phase && (t == nil || t.Equal(old.Status.LastPhaseTransitionTime)) {
		next.Status.LastPhaseTransitionTime = &by.Now
	}
}

func persistentVolumeColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PersistentVolumeSpec{}.SwaggerDoc(), corev1.PersistentVolumeStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Capacity", spec["capacity"]),
		column("Access Modes", spec["accessModes"]),
		column("Reclaim Policy", spec["persistentVolumeReclaimPolicy"]),
		column("Status", status["phase"]),
		column("Claim", spec["claimRef"]),
		column("StorageClass", "StorageClass of the pv"),
		column("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
		column("Reason", status["reason"]),
		ageColumn,
		wide("VolumeMode", spec["volumeMode"]),
	}
}

func persistentVolumeCells(v *corev1.PersistentVolume, now time.Time) []any {
	claim := ""
	if r := v.Spec.ClaimRef; r != nil {
		claim = r.Namespace + "/" + r.Name
	}
	capacity := v.Spec.Capacity[corev1.ResourceStorage]
	return []any{
		v.Name, capacity.String(), accessModesText(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy),
		phaseText(v, string(v.Status.Phase)), claim, classText(v, &v.Spec.StorageClassName), orUnset(v.Spec.VolumeAttributesClassName),
		v.Status.Reason, age(v, now), orUnset(v.Spec.VolumeMode),
	}
}

// phaseText is the phase of an object that is not being deleted.
func phaseText(obj Object, phase string) string {
	if obj.GetDeletionTimestamp() != nil {
		return "Terminating"
	}
	return phase
}

// classText is the storage class of a volume or a claim. An annotation was where it stood before it had a field.
func classText(obj Object, field *string) string {
	if class, ok := obj.GetAnnotations()[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	if field == nil {
		return ""
	}
	return *field
}

func orUnset[T ~string](p *T) string {
	if p == nil {
		return "<unset>"
	}
	return string(*p)
}

// accessModesText is the short forms of modes, each once and in one order.
func accessModesText(modes []corev1.PersistentVolumeAccessMode) string {
	short := []struct {
		mode corev1.PersistentVolumeAccessMode
		text string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	}
	var all []string
	for _, s := range short {
		if slices.Contains(modes, s.mode) {
			all = append(all, s.text)
		}
	}
	return strings.Join(all, ",")
}

// persistentVolumeWarnings tell of storage systems that are gone, and of what has another name now.
func persistentVolumeWarnings(next, _ *corev1.PersistentVolume) []string {
	var w warnings
	spec, meta := field.NewPath("spec"), field.NewPath("metadata", "annotations")
	at := func(name string) *place { return (*place)(spec.Child(name)) }
	_, class := next.Annotations[corev1.BetaStorageClassAnnotation]
	w.addIf(class, (*place)(meta.Key(corev1.BetaStorageClassAnnotation)), `deprecated since v1.8; use "storageClassName" attribute instead`)
	_, mount := next.Annotations[corev1.MountOptionAnnotation]
	w.addIf(mount, (*place)(meta.Key(corev1.MountOptionAnnotation)), `deprecated since v1.31; use "mountOptions" attribute instead`)
	s := &next.Spec
	w.addIf(s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle, at("persistentVolumeReclaimPolicy"),
		"The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	if a := s.NodeAffinity; a != nil && a.Required != nil {
		for i, t := range a.Required.NodeSelectorTerms {
			w.nodeTerm(&t, at("nodeAffinity").Child("required", "nodeSelectorTerms").Index(i))
		}
	}
	w.addIf(s.PhotonPersistentDisk != nil, at("photonPersistentDisk"), "deprecated in v1.11, non-functional in v1.16+")
	w.addIf(s.ScaleIO != nil, at("scaleIO"), "deprecated in v1.16, non-functional in v1.22+")
	w.addIf(s.StorageOS != nil, at("storageOS"), "deprecated in v1.22, non-functional in v1.25+")
	w.addIf(s.Glusterfs != nil, at("glusterfs"), "deprecated in v1.25, non-functional in v1.26+")
	w.addIf(s.CephFS != nil, at("cephfs"), "deprecated in v1.28, non-functional in v1.31+")
	w.addIf(s.RBD != nil, at("rbd"), "deprecated in v1.28, non-functional in v1.31+")
	return w.all
}
