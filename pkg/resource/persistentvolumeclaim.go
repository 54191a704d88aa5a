package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// persistentVolumeClaims are what pods ask for; a controller finds or has made a volume for each.
func persistentVolumeClaims() *Row {
	return Row{
		Resource: "persistentvolumeclaims", Singular: "persistentvolumeclaim", Kind: "PersistentVolumeClaim",
		ShortNames: []string{"pvc"},
		Namespaced: true,
		Versions: []Version{
			servedAs[corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaimList](corev1.SchemeGroupVersion),
		},
		Prefix:  "persistentvolumeclaims",
		Columns: claimColumns(), DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.PersistentVolumeClaim]{
		Default:        defaultClaim,
		PrepareCreate:  prepareClaim,
		PrepareUpdate:  prepareClaimUpdate,
		Validate:       validateClaim,
		ValidateUpdate: validateClaimUpdate,
		Warnings: func(next, _ *corev1.PersistentVolumeClaim) []string {
			var w warnings
			_, class := next.Annotations[corev1.BetaStorageClassAnnotation]
			w.addIf(class, atAnnotations.Key(corev1.BetaStorageClassAnnotation), `deprecated since v1.8; use "storageClassName" attribute instead`)
			w.claim(&next.Spec, atSpec)
			return w.all
		},
		Cells:          claimCells,
		PrepareStatus:  prepareClaimStatus,
		ValidateStatus: validateClaimStatusUpdate,
	}))
}

func defaultClaim(c *corev1.PersistentVolumeClaim) {
	or(&c.Status.Phase, corev1.ClaimPending)
	defaultClaimSpec(&c.Spec)
	roundUp(c.Status.Capacity)
	roundUp(c.Status.AllocatedResources)
}

func defaultClaimSpec(s *corev1.PersistentVolumeClaimSpec) {
	orPtr(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(s.Resources.Limits)
	roundUp(s.Resources.Requests)
}

func prepareClaim(c *corev1.PersistentVolumeClaim) {
	c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	prepareSources(&c.Spec, &corev1.PersistentVolumeClaimSpec{})
}

func prepareClaimUpdate(next, old *corev1.PersistentVolumeClaim) {
	next.Status = *old.Status.DeepCopy()
	prepareSources(&next.Spec, &old.Spec)
}

// prepareSources brings the two fields that say what a volume is filled from to agree. A source in another namespace is off in
// v1.37, and one that is neither a claim nor a snapshot was once ignored in the older field and still is.
func prepareSources(next, old *corev1.PersistentVolumeClaimSpec) {
	if r := next.DataSourceRef; r != nil && r.Namespace != nil && *r.Namespace != "" && old.DataSourceRef == nil {
		next.DataSourceRef = nil
	}
	if next.DataSource != nil && old.DataSource == nil && !isClaimOrSnapshot(next.DataSource) {
		next.DataSource = nil
	}
	source, ref := next.DataSource, next.DataSourceRef
	switch {
	case source != nil && ref == nil:
		next.DataSourceRef = &corev1.TypedObjectReference{APIGroup: source.APIGroup, Kind: source.Kind, Name: source.Name}
	case source == nil && ref != nil && (ref.Namespace == nil || *ref.Namespace == ""):
		next.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	}
}

func isClaimOrSnapshot(d *corev1.TypedLocalObjectReference) bool {
	if d.APIGroup == nil || *d.APIGroup == "" {
		return d.Kind == "PersistentVolumeClaim"
	}
	return *d.APIGroup == "snapshot.storage.k8s.io" && d.Kind == "VolumeSnapshot"
}

// prepareClaimStatus clears also the health of the volume, which v1.37 has off by default, unless it is in use.
func prepareClaimStatus(next, old *corev1.PersistentVolumeClaim) {
	next.Spec = *old.Spec.DeepCopy()
	if old.Status.HealthStatus == nil {
		next.Status.HealthStatus = nil
	}
}

// claim warns of an amount that no disk has.
func (w *warnings) claim(s *corev1.PersistentVolumeClaimSpec, path *place) {
	q := s.Resources.Requests[corev1.ResourceStorage]
	w.addIf(q.MilliValue()%1000 != 0, path.Child("resources", "requests").Key(string(corev1.ResourceStorage)),
		"fractional byte value %q is invalid, must be an integer", q.String())
}

func claimColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PersistentVolumeClaimSpec{}.SwaggerDoc(), corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Status", status["phase"]),
		column("Volume", spec["volumeName"]),
		column("Capacity", status["capacity"]),
		column("Access Modes", status["accessModes"]),
		column("StorageClass", "StorageClass of the pvc"),
		column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
		ageColumn,
		wide("VolumeMode", spec["volumeMode"]),
	}
}

func claimCells(c *corev1.PersistentVolumeClaim, now time.Time) []any {
	capacity, modes := "", ""
	if c.Spec.VolumeName != "" {
		q := c.Status.Capacity[corev1.ResourceStorage]
		capacity, modes = q.String(), accessModesText(c.Status.AccessModes)
	}
	return []any{
		c.Name, phaseText(c, string(c.Status.Phase)), c.Spec.VolumeName, capacity, modes, classText(c, c.Spec.StorageClassName),
		orUnset(c.Spec.VolumeAttributesClassName), age(c, now), orUnset(c.Spec.VolumeMode),
	}
}
