package resource

import (
	"math"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumeAttachments are wishes that a volume be attached to a node, with what the driver says to them.
func volumeAttachments() *Row {
	spec := storagev1.VolumeAttachmentSpec{}.SwaggerDoc()
	attacher := column("Attacher", spec["attacher"])
	attacher.Format = "name"
	return Row{
		Resource: "volumeattachments", Singular: "volumeattachment", Kind: "VolumeAttachment",
		Versions: []Version{servedAs[storagev1.VolumeAttachment, storagev1.VolumeAttachmentList](storagev1.SchemeGroupVersion)},
		Prefix:   "volumeattachments",
		Unowned:  map[string][]string{"status": {"metadata", "spec"}},
		Columns: []metav1.TableColumnDefinition{
			nameColumn, attacher,
			column("PV", storagev1.VolumeAttachmentSource{}.SwaggerDoc()["persistentVolumeName"]), column("Node", spec["nodeName"]),
			boolean(column("Attached", storagev1.VolumeAttachmentStatus{}.SwaggerDoc()["attached"])), ageColumn,
		},
		DeleteReturnsObject: true,
	}.with(rules(Rules[*storagev1.VolumeAttachment]{
		Default: func(a *storagev1.VolumeAttachment) {
			if s := a.Spec.Source.InlineVolumeSpec; s != nil {
				defaultVolumeSpec(s)
			}
		},
		PrepareCreate:  func(a *storagev1.VolumeAttachment) { a.Status = storagev1.VolumeAttachmentStatus{} },
		PrepareUpdate:  func(next, old *storagev1.VolumeAttachment) { next.Status = *old.Status.DeepCopy() },
		Validate:       validateVolumeAttachment,
		ValidateUpdate: validateVolumeAttachmentUpdate,
		Cells: func(a *storagev1.VolumeAttachment, now time.Time) []any {
			volume := ""
			if p := a.Spec.Source.PersistentVolumeName; p != nil {
				volume = *p
			}
			return []any{a.Name, a.Spec.Attacher, volume, a.Spec.NodeName, a.Status.Attached, age(a, now)}
		},
		PrepareStatus: func(next, old *storagev1.VolumeAttachment) {
			next.Spec = *old.Spec.DeepCopy()
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: validateVolumeAttachmentUpdate,
	}))
}

func validateVolumeAttachment(a *storagev1.VolumeAttachment) field.ErrorList {
	return append(anyVolumeAttachment(a), declaredAttacher(a.Spec.Attacher, atSpec.Child("attacher"))...)
}

// validateVolumeAttachmentUpdate has the older rules for the driver's name where the declared ones are not asked: where it is
// declared already that the spec must not change.
func validateVolumeAttachmentUpdate(next, old *storagev1.VolumeAttachment) field.ErrorList {
	errs := anyVolumeAttachment(next)
	if !same(next.Spec, old.Spec) {
		errs = append(errs, driverName(next.Spec.Attacher, atSpec.Child("attacher"))...)
	}
	return append(errs, declaredChange(&next.Spec, &old.Spec, atSpec)...)
}

// declaredAttacher is the name of a driver by declared rules.
func declaredAttacher(name string, path *place) field.ErrorList {
	if name == "" {
		return declared(field.ErrorList{requiredAt(path, "")})
	}
	errs := declaredFormat(name, path, validate.LongNameCaseless)
	if len(name) > 63 {
		errs = append(errs, declared(field.ErrorList{field.TooLongCharacters(path.path(), name, 63)})...)
	}
	return errs
}

func anyVolumeAttachment(a *storagev1.VolumeAttachment) field.ErrorList {
	status := newPlace("status")
	size := 0
	for k, v := range a.Status.AttachmentMetadata {
		size += len(k) + len(v)
	}
	return join(
		validateMeta(a, false, subdomainName),
		attachmentSource(&a.Spec.Source, atSpec.Child("source")),
		nodeName(&a.Spec.NodeName, atSpec.Child("nodeName")),
		when(size > maxAttachmentMetadata, tooLongAt(status.Child("attachmentMetadata"), "", maxAttachmentMetadata)),
		given(a.Status.AttachError, status.Child("attachError"), volumeError),
		given(a.Status.DetachError, status.Child("detachError"), volumeError),
		given(a.Spec.Source.PersistentVolumeName, newPlace("spec.source.persistentVolumeName"), func(name *string, path *place) field.ErrorList {
			return invalid(path, *name, subdomainName(*name, false))
		}),
	)
}

// The most bytes that a driver may say of an attachment, and of an error.
const (
	maxAttachmentMetadata = 256 << 10
	maxVolumeError        = 1024
)

func attachmentSource(s *storagev1.VolumeAttachmentSource, path *place) field.ErrorList {
	const one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
	volume := s.PersistentVolumeName
	switch {
	case s.InlineVolumeSpec == nil && volume == nil:
		return field.ErrorList{requiredAt(path, one)}
	case s.InlineVolumeSpec != nil && volume != nil:
		return field.ErrorList{forbiddenAt(path, one)}
	case volume != nil:
		return when(*volume == "", requiredAt(path.Child("persistentVolumeName"), "must specify non empty persistentVolumeName"))
	}
	return validateInlineVolume(s.InlineVolumeSpec, path.Child("inlineVolumeSpec"))
}

// volumeError refuses a text that is too long, and names a limit that is not the text's: upstream's history.
func volumeError(e *storagev1.VolumeError, path *place) field.ErrorList {
	errs := when(len(e.Message) > maxVolumeError, tooLongAt(path.Child("message"), "", maxAttachmentMetadata))
	if c := e.ErrorCode; c != nil && *c < 0 {
		errs = append(errs, invalidAt(path.Child("errorCode"), *c, validation.InclusiveRangeError(0, math.MaxInt32)))
	}
	return errs
}
