package resource

import (
	"strings"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// csiDrivers say what a storage driver of the cluster wants to be told, and what it can.
func csiDrivers() *Row {
	return Row{
		Resource: "csidrivers", Singular: "csidriver", Kind: "CSIDriver",
		Versions: []Version{servedAs[storagev1.CSIDriver, storagev1.CSIDriverList](storagev1.SchemeGroupVersion)},
		Prefix:   "csidrivers",
		Columns:  csiDriverColumns(), DeleteReturnsObject: true,
	}.with(rules(Rules[*storagev1.CSIDriver]{
		Default: defaultCSIDriver,
		PrepareUpdate: func(next, old *storagev1.CSIDriver) {
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(d *storagev1.CSIDriver) field.ErrorList {
			return join(validateMeta(d, false, subdomainName), validateCSIDriverSpec(&d.Spec, atSpec))
		},
		ValidateUpdate: func(next, old *storagev1.CSIDriver) field.ErrorList {
			return join(
				validateMetaUpdate(next, old),
				validateCSIDriverSpec(&next.Spec, atSpec),
				immutable(next.Spec.AttachRequired, old.Spec.AttachRequired, newPlace("spec", "attachedRequired")),
				immutable(next.Spec.VolumeLifecycleModes, old.Spec.VolumeLifecycleModes, newPlace("spec", "volumeLifecycleModes")),
			)
		},
		Warnings: csiDriverWarnings,
		Cells:    csiDriverCells,
	}))
}

func defaultCSIDriver(d *storagev1.CSIDriver) {
	s := &d.Spec
	orPtr(&s.AttachRequired, true)
	orPtr(&s.PodInfoOnMount, false)
	orPtr(&s.StorageCapacity, false)
	orPtr(&s.FSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	if len(s.VolumeLifecycleModes) == 0 {
		s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
	}
	orPtr(&s.RequiresRepublish, false)
	orPtr(&s.SELinuxMount, false)
	orPtr(&s.PreventPodSchedulingIfMissing, false)
}

// csiDriverWarnings is for tokens that would be in a volume's attributes, which drivers write into their logs.
func csiDriverWarnings(next, old *storagev1.CSIDriver) []string {
	s := &next.Spec
	if len(s.TokenRequests) == 0 || s.ServiceAccountTokenInSecrets != nil || old != nil && same(old.Spec.TokenRequests, s.TokenRequests) {
		return nil
	}
	return []string{"spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, " +
		"set to true to prevent possible logging of tokens in volume attributes"}
}

func csiDriverColumns() []metav1.TableColumnDefinition {
	spec := storagev1.CSIDriverSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		boolean(column("AttachRequired", spec["attachRequired"])),
		boolean(column("PodInfoOnMount", spec["podInfoOnMount"])),
		boolean(column("StorageCapacity", spec["storageCapacity"])),
		column("TokenRequests", spec["tokenRequests"]),
		boolean(column("RequiresRepublish", spec["requiresRepublish"])),
		column("Modes", spec["volumeLifecycleModes"]),
		ageColumn,
	}
}

func csiDriverCells(d *storagev1.CSIDriver, now time.Time) []any {
	s := &d.Spec
	tokens, modes := "<unset>", "<none>"
	if s.TokenRequests != nil {
		var audiences []string
		for _, r := range s.TokenRequests {
			audiences = append(audiences, r.Audience)
		}
		tokens = strings.Join(audiences, ",")
	}
	var all []string
	for _, m := range s.VolumeLifecycleModes {
		all = append(all, string(m))
	}
	if len(all) > 0 {
		modes = strings.Join(all, ",")
	}
	attach := s.AttachRequired == nil || *s.AttachRequired
	return []any{
		d.Name, attach, isTrue(s.PodInfoOnMount), isTrue(s.StorageCapacity), tokens, isTrue(s.RequiresRepublish), modes, age(d, now),
	}
}

func validateCSIDriverSpec(s *storagev1.CSIDriverSpec, path *place) field.ErrorList {
	// The name of the first is upstream's history.
	errs := join(
		when(s.AttachRequired == nil, requiredAt(path.Child("attachedRequired"), "")),
		when(s.PodInfoOnMount == nil, requiredAt(path.Child("podInfoOnMount"), "")),
		when(s.StorageCapacity == nil, requiredAt(path.Child("storageCapacity"), "")),
		given(s.FSGroupPolicy, path.Child("fsGroupPolicy"), func(p *storagev1.FSGroupPolicy, path *place) field.ErrorList {
			return oneOf(*p, path, storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
		}),
		driverTokens(s.TokenRequests, path.Child("tokenRequests")),
	)
	for _, m := range s.VolumeLifecycleModes {
		errs = append(errs, oneOf(m, path.Child("volumeLifecycleModes"), storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral)...)
	}
	errs = append(errs, when(s.SELinuxMount == nil, requiredAt(path.Child("seLinuxMount"), ""))...)
	if p := s.NodeAllocatableUpdatePeriodSeconds; p != nil && *p < 10 {
		errs = append(errs, invalidAt(path.Child("nodeAllocatableUpdatePeriodSeconds"), *p, "must be greater than or equal to 10 seconds"))
	}
	if b := s.ServiceAccountTokenInSecrets; b != nil && len(s.TokenRequests) == 0 {
		errs = append(errs, invalidAt(path.Child("serviceAccountTokenInSecrets"), *b,
			"serviceAccountTokenInSecrets is set but no tokenRequests are specified"))
	}
	return errs
}

// driverTokens wants at most one token for each audience.
func driverTokens(requests []storagev1.TokenRequest, path *place) field.ErrorList {
	seen := taken{}
	return each(requests, path, func(r *storagev1.TokenRequest, path *place) field.ErrorList {
		if !seen.claim(r.Audience) {
			return field.ErrorList{duplicateAt(path.Child("audience"), r.Audience)}
		}
		return tokenExpiration(r.ExpirationSeconds, path.Child("expirationSeconds"))
	})
}
