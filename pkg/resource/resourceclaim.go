package resource

import (
	"slices"
	"strings"
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resourceClaims ask for devices; the scheduler writes into the status which ones they got.
func resourceClaims() *Row {
	return Row{
		Resource: "resourceclaims", Singular: "resourceclaim", Kind: "ResourceClaim", Namespaced: true,
		Versions: []Version{servedAs[resourcev1.ResourceClaim, resourcev1.ResourceClaimList](resourcev1.SchemeGroupVersion)},
		Prefix:   "resourceclaims",
		Unowned:  map[string][]string{"status": {"metadata", "spec"}},
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("State", "A summary of the current state (allocated, pending, reserved, etc.)."),
			ageColumn,
		},
		DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*resourcev1.ResourceClaim]{
		Default: func(c *resourcev1.ResourceClaim) {
			defaultDeviceClaim(&c.Spec.Devices)
			for i := range c.Status.Devices {
				noneIfEmpty(&c.Status.Devices[i].Conditions)
			}
			if a := c.Status.Allocation; a != nil {
				for i := range a.Devices.Results {
					defaultTolerations(a.Devices.Results[i].Tolerations)
				}
			}
		},
		PrepareCreate: func(c *resourcev1.ResourceClaim) {
			c.Status = resourcev1.ResourceClaimStatus{}
			prepareDeviceClaim(&c.Spec.Devices)
		},
		PrepareUpdate: func(next, old *resourcev1.ResourceClaim) {
			next.Status = *old.Status.DeepCopy()
			prepareDeviceClaim(&next.Spec.Devices)
		},
		Validate: func(c *resourcev1.ResourceClaim) field.ErrorList {
			return declaredLast(join(validateMeta(c, true, subdomainName), deviceClaim(&c.Spec.Devices, newPlace("spec", "devices"))))
		},
		ValidateUpdate: func(next, old *resourcev1.ResourceClaim) field.ErrorList {
			return join(validateMeta(next, true, subdomainName), validateMetaUpdate(next, old), declaredImmutable(next.Spec, old.Spec, atSpec))
		},
		Cells: func(c *resourcev1.ResourceClaim, now time.Time) []any {
			return []any{c.Name, claimState(c), age(c, now)}
		},
		PrepareStatus: func(next, old *resourcev1.ResourceClaim) {
			next.Spec = *old.Spec.DeepCopy()
			metav1.ResetObjectMetaForStatus(next, old)
			withoutDeallocated(&next.Status, &old.Status)
			withoutAlphaResults(next.Status.Allocation)
		},
		ValidateStatus: validateResourceClaimStatus,
	}))
}

func defaultDeviceClaim(c *resourcev1.DeviceClaim) {
	for i := range c.Requests {
		if e := c.Requests[i].Exactly; e != nil {
			defaultAllocation(&e.AllocationMode, &e.Count)
			defaultTolerations(e.Tolerations)
		}
		for j := range c.Requests[i].FirstAvailable {
			s := &c.Requests[i].FirstAvailable[j]
			defaultAllocation(&s.AllocationMode, &s.Count)
			defaultTolerations(s.Tolerations)
		}
	}
}

func defaultAllocation(mode *resourcev1.DeviceAllocationMode, count *int64) {
	or(mode, resourcev1.DeviceAllocationModeExactCount)
	if *mode == resourcev1.DeviceAllocationModeExactCount {
		or(count, 1)
	}
}

func defaultTolerations(tolerations []resourcev1.DeviceToleration) {
	for i := range tolerations {
		or(&tolerations[i].Operator, resourcev1.DeviceTolerationOpEqual)
	}
}

// prepareDeviceClaim drops what belongs to a feature that is off in v1.37: DRADerivedAttributes. No requests are kept as null.
func prepareDeviceClaim(c *resourcev1.DeviceClaim) {
	noneIfEmpty(&c.Requests)
	for i := range c.Requests {
		if e := c.Requests[i].Exactly; e != nil {
			e.DerivedAttributes = nil
		}
		for j := range c.Requests[i].FirstAvailable {
			c.Requests[i].FirstAvailable[j].DerivedAttributes = nil
		}
	}
}

// withoutAlphaResults drops what belongs to DRAOptionalNodeOperations.
func withoutAlphaResults(a *resourcev1.AllocationResult) {
	if a == nil {
		return
	}
	for i := range a.Devices.Results {
		a.Devices.Results[i].SkipNodeOperations = nil
	}
}

// withoutDeallocated drops what is said of devices that the claim had and has no more.
func withoutDeallocated(next, old *resourcev1.ResourceClaimStatus) {
	had, has := allocatedDevices(old.Allocation), allocatedDevices(next.Allocation)
	next.Devices = slices.DeleteFunc(next.Devices, func(d resourcev1.AllocatedDeviceStatus) bool {
		id := statusDevice(&d)
		return had[id] && !has[id]
	})
	if len(next.Devices) == 0 {
		next.Devices = nil
	}
}

func claimState(c *resourcev1.ResourceClaim) string {
	var states []string
	add := func(that bool, state string) {
		if that {
			states = append(states, state)
		}
	}
	deleted, allocated := !c.DeletionTimestamp.IsZero(), c.Status.Allocation != nil
	add(deleted, "deleted")
	add(!allocated && !deleted, "pending")
	add(allocated, "allocated")
	add(allocated && len(c.Status.ReservedFor) > 0, "reserved")
	return strings.Join(states, ",")
}

// resourceClaimTemplates are what the claims of pods are made from.
func resourceClaimTemplates() *Row {
	return Row{
		Resource: "resourceclaimtemplates", Singular: "resourceclaimtemplate", Kind: "ResourceClaimTemplate", Namespaced: true,
		Versions: []Version{
			servedAs[resourcev1.ResourceClaimTemplate, resourcev1.ResourceClaimTemplateList](resourcev1.SchemeGroupVersion),
		},
		Prefix:  "resourceclaimtemplates",
		Columns: []metav1.TableColumnDefinition{nameColumn, ageColumn}, DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*resourcev1.ResourceClaimTemplate]{
		Default:       func(t *resourcev1.ResourceClaimTemplate) { defaultDeviceClaim(&t.Spec.Spec.Devices) },
		PrepareCreate: func(t *resourcev1.ResourceClaimTemplate) { prepareDeviceClaim(&t.Spec.Spec.Devices) },
		PrepareUpdate: func(next, _ *resourcev1.ResourceClaimTemplate) { prepareDeviceClaim(&next.Spec.Spec.Devices) },
		Validate: func(t *resourcev1.ResourceClaimTemplate) field.ErrorList {
			return declaredLast(validateClaimTemplate(t))
		},
		ValidateUpdate: func(next, old *resourcev1.ResourceClaimTemplate) field.ErrorList {
			return join(validateClaimTemplate(next), validateMetaUpdate(next, old), immutableGo(next.Spec, old.Spec, atSpec))
		},
		Cells: func(t *resourcev1.ResourceClaimTemplate, now time.Time) []any { return []any{t.Name, age(t, now)} },
	}))
}

func validateClaimTemplate(t *resourcev1.ResourceClaimTemplate) field.ErrorList {
	inner := atSpec.Child("metadata")
	return join(
		validateMeta(t, true, subdomainName),
		apivalidation.ValidateAnnotations(t.Spec.Annotations, inner.Child("annotations").path()),
		labelMap(t.Spec.Labels, inner.Child("labels")),
		deviceClaim(&t.Spec.Spec.Devices, atSpec.Child("spec", "devices")),
	)
}
