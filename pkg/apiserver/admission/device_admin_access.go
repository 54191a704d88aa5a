package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// DeviceAdminAccess lets only claims of labelled namespaces ask for devices that others use. Upstream asks this where it validates
// claims; here rows see nothing but their own objects, so it is a step of admission.
type DeviceAdminAccess struct{ get Getter }

// Name is ours.
func (DeviceAdminAccess) Name() string { return "DeviceAdminAccess" }

// Admit does nothing.
func (DeviceAdminAccess) Admit(context.Context, *Attributes) error { return nil }

// Validate does nothing.
func (DeviceAdminAccess) Validate(context.Context, *Attributes) error { return nil }

// Find looks for requests for admin access where it is not given.
func (p DeviceAdminAccess) Find(ctx context.Context, a *Attributes) field.ErrorList {
	at := adminRequest(a)
	if at == nil {
		return nil
	}
	ns, err := p.get.Get(ctx, corev1.Resource("namespaces"), "", a.Namespace)
	if err != nil {
		return field.ErrorList{field.InternalError(at, fmt.Errorf("could not retrieve namespace to verify admin access: %w", err))}
	}
	if ns.GetLabels()[resourcev1.DRAAdminNamespaceLabelKey] == "true" {
		return nil
	}
	return field.ErrorList{field.Forbidden(at,
		"admin access to devices requires the `"+resourcev1.DRAAdminNamespaceLabelKey+": true` label on the containing namespace")}
}

// adminRequest is where a new claim or template asks for admin access, or where a claim's status newly gives it; nil if nowhere. What they
// ask for does not change later.
func adminRequest(a *Attributes) *field.Path {
	switch {
	case a.Operation == Create && a.is("resourceclaims.resource.k8s.io"):
		if c, ok := a.Object.(*resourcev1.ResourceClaim); ok {
			return firstAdminRequest(&c.Spec.Devices)
		}
	case a.Operation == Create && a.is("resourceclaimtemplates.resource.k8s.io"):
		if t, ok := a.Object.(*resourcev1.ResourceClaimTemplate); ok {
			return firstAdminRequest(&t.Spec.Spec.Devices)
		}
	case a.Operation == Update && a.is("resourceclaims.resource.k8s.io/status"):
		next, ok := a.Object.(*resourcev1.ResourceClaim)
		old, okOld := a.Old.(*resourcev1.ResourceClaim)
		if ok && okOld && firstAdminResult(old.Status.Allocation) == nil {
			return firstAdminResult(next.Status.Allocation)
		}
	}
	return nil
}

func firstAdminRequest(c *resourcev1.DeviceClaim) *field.Path {
	for i, r := range c.Requests {
		if r.Exactly != nil && r.Exactly.AdminAccess != nil && *r.Exactly.AdminAccess {
			return field.NewPath("spec", "devices", "requests").Index(i).Child("adminAccess")
		}
	}
	return nil
}

func firstAdminResult(al *resourcev1.AllocationResult) *field.Path {
	if al == nil {
		return nil
	}
	for i, r := range al.Devices.Results {
		if r.AdminAccess != nil && *r.AdminAccess {
			return field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess")
		}
	}
	return nil
}
