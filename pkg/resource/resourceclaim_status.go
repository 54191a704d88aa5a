package resource

import (
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// deviceID is a device that was allocated, and which share of it.
type deviceID struct{ Driver, Pool, Device, ShareID string }

func statusDevice(d *resourcev1.AllocatedDeviceStatus) deviceID {
	id := deviceID{Driver: d.Driver, Pool: d.Pool, Device: d.Device}
	if d.ShareID != nil {
		id.ShareID = *d.ShareID
	}
	return id
}

func allocatedDevices(a *resourcev1.AllocationResult) map[deviceID]bool {
	all := map[deviceID]bool{}
	if a == nil {
		return all
	}
	for _, r := range a.Devices.Results {
		id := deviceID{Driver: r.Driver, Pool: r.Pool, Device: r.Device}
		if r.ShareID != nil {
			id.ShareID = string(*r.ShareID)
		}
		all[id] = true
	}
	return all
}

// validateResourceClaimStatus: an allocation may come and go but not change, and nobody uses a claim without one.
func validateResourceClaimStatus(next, old *resourcev1.ResourceClaim) field.ErrorList {
	s, allocated := &next.Status, allocatedDevices(next.Status.Allocation)
	return declaredLast(join(
		validateMetaUpdate(next, old),
		claimKept(next.Status.Allocation, old.Status.Allocation, atStatus.Child("allocation")),
		declaredList(s.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize, atStatus.Child("reservedFor"),
			func(c *resourcev1.ResourceClaimConsumerReference) types.UID { return c.UID }, claimConsumer),
		declaredList(s.Devices, 0, atStatus.Child("devices"), statusDevice,
			func(d *resourcev1.AllocatedDeviceStatus, path *place) field.ErrorList {
				return deviceStatus(d, allocated, path)
			}),
		claimReservations(next, old, atStatus.Child("reservedFor")),
		claimAllocation(next, old.Status.Allocation, atStatus.Child("allocation")),
	))
}

func claimConsumer(c *resourcev1.ResourceClaimConsumerReference, path *place) field.ErrorList {
	return join(
		present(c.Resource, path.Child("resource")),
		present(c.Name, path.Child("name")),
		present(string(c.UID), path.Child("uid")),
	)
}

func claimReservations(next, old *resourcev1.ResourceClaim, path *place) field.ErrorList {
	if len(next.Status.ReservedFor) == 0 {
		return nil
	}
	if next.Status.Allocation == nil {
		return field.ErrorList{forbiddenAt(path, "may not be specified when `allocated` is not set")}
	}
	was := map[resourcev1.ResourceClaimConsumerReference]bool{}
	for _, c := range old.Status.ReservedFor {
		was[c] = true
	}
	for _, c := range next.Status.ReservedFor {
		if next.DeletionTimestamp != nil && !was[c] {
			return field.ErrorList{forbiddenAt(path, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set")}
		}
	}
	return nil
}

// claimKept keeps an allocation as long as there is one.
func claimKept(next, old *resourcev1.AllocationResult, path *place) field.ErrorList {
	return declared(when(next != nil && old != nil && !same(next, old), invalidAt[any](path, nil, "field cannot be modified once set")))
}

// claimAllocation validates an allocation when it is made. One that was there is not measured again, for the rules may have become
// stricter.
func claimAllocation(next *resourcev1.ResourceClaim, was *resourcev1.AllocationResult, path *place) field.ErrorList {
	a := next.Status.Allocation
	if a == nil || was != nil {
		return nil
	}
	known := requestsOf(&next.Spec.Devices)
	devices := path.Child("devices")
	errs := join(
		boundedList(a.Devices.Results, resourcev1.AllocationResultsMaxSize, devices.Child("results"), known.result),
		boundedList(a.Devices.Config, 2*resourcev1.DeviceConfigMaxSize, devices.Child("config"), known.config), // of the class, and of the claim
	)
	return append(errs, given(a.NodeSelector, path.Child("nodeSelector"), nodeSelector)...)
}

func (known knownRequests) result(r *resourcev1.DeviceRequestAllocationResult, path *place) field.ErrorList {
	return join(
		known.one(&r.Request, path.Child("request")),
		declaredDriver(r.Driver, path.Child("driver")),
		declaredPresent(r.Pool, path.Child("pool"), validate.ResourcePoolName),
		dnsLabel(r.Device, path.Child("device")),
		bindingConditions(r.BindingConditions, r.BindingFailureConditions, path),
		each(r.Tolerations, path.Child("tolerations"), func(t *resourcev1.DeviceToleration, path *place) field.ErrorList {
			return onlyDeclared(deviceToleration(t, path))
		}),
		given(r.ShareID, path.Child("shareID"), func(id *types.UID, path *place) field.ErrorList {
			return declaredFormat(*id, path, validate.UUID)
		}),
	)
}

func (known knownRequests) config(c *resourcev1.DeviceAllocationConfiguration, path *place) field.ErrorList {
	source := declared(presentOneOf(c.Source, path.Child("source"),
		resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass))
	return join(source, known.all(c.Requests, path.Child("requests")), deviceConfiguration(&c.DeviceConfiguration, false, path))
}

// bindingConditions are what must be, and what may not be, before a pod is bound.
func bindingConditions(conditions, failures []string, path *place) field.ErrorList {
	at, failuresAt := path.Child("bindingConditions"), path.Child("bindingFailureConditions")
	label := func(s *string, path *place) field.ErrorList { return labelKey(*s, path) }
	known := map[string]bool{}
	for _, c := range conditions {
		known[c] = true
	}
	overlap := each(failures, failuresAt, func(c *string, path *place) field.ErrorList {
		return when(known[*c], invalidAt(path, *c, "bindingFailureConditions must not overlap with bindingConditions"))
	})
	return join(
		boundedList(conditions, resourcev1.BindingConditionsMaxSize, at, label),
		boundedList(failures, resourcev1.BindingFailureConditionsMaxSize, failuresAt, label),
		repeated(conditions, at, itself),
		repeated(failures, failuresAt, itself),
		overlap,
		when(len(conditions) == 0 && len(failures) > 0, invalidAt(at, conditions, "bindingConditions are required to use bindingFailureConditions")),
		when(len(failures) == 0 && len(conditions) > 0, invalidAt(failuresAt, failures, "bindingFailureConditions are required to use bindingConditions")),
	)
}

// deviceStatus is what a driver says of a device that it gave away.
func deviceStatus(d *resourcev1.AllocatedDeviceStatus, allocated map[deviceID]bool, path *place) field.ErrorList {
	id, conditions, most := statusDevice(d), path.Child("conditions"), resourcev1.AllocatedDeviceStatusMaxConditions
	errs := join(
		driverName(d.Driver, path.Child("driver")),
		poolName(d.Pool, path.Child("pool")),
		dnsLabel(d.Device, path.Child("device")),
		given(d.ShareID, path.Child("shareID"), func(id *string, path *place) field.ErrorList {
			return declaredFormat(*id, path, validate.UUID)
		}),
		when(!allocated[id], invalidGoAt(path, id, "must be an allocated device in the claim")),
		when(len(d.Conditions) > most, tooManyAt(conditions, len(d.Conditions), most)),
		metavalidation.ValidateConditions(d.Conditions, conditions.path()),
	)
	if d.Data != nil && len(d.Data.Raw) > 0 {
		errs = append(errs, rawObject(*d.Data, false, resourcev1.AllocatedDeviceStatusDataMaxLength, path.Child("data"))...)
	}
	return append(errs, given(d.NetworkData, path.Child("networkData"), deviceNetwork)...)
}

func deviceNetwork(n *resourcev1.NetworkDeviceData, path *place) field.ErrorList {
	short := func(s, name string, most int) field.ErrorList {
		return declared(when(len(s) > most, tooLongAt(path.Child(name), "", most)))
	}
	return join(
		short(n.InterfaceName, "interfaceName", resourcev1.NetworkDeviceDataInterfaceNameMaxLength),
		short(n.HardwareAddress, "hardwareAddress", resourcev1.NetworkDeviceDataHardwareAddressMaxLength),
		declaredList(n.IPs, resourcev1.NetworkDeviceDataMaxIPs, path.Child("ips"), itself, func(s *string, path *place) field.ErrorList {
			return validation.IsValidInterfaceAddress(path.path(), *s)
		}),
	)
}

// poolName is one or more subdomains with slashes between them.
func poolName(name string, path *place) field.ErrorList {
	if name == "" {
		return field.ErrorList{requiredAt(path, "")}
	}
	errs := when(len(name) > resourcev1.PoolNameMaxLength, tooLongAt(path, "", resourcev1.PoolNameMaxLength))
	for part := range strings.SplitSeq(name, "/") {
		errs = append(errs, dnsSubdomain(part, path)...)
	}
	return errs
}
