package quota

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

var services = Meter{
	Resource: schema.GroupResource{Resource: "services"},
	Counts:   func(name corev1.ResourceName) bool { return slices.Contains(serviceNames, name) },
	Use:      func(o Object, _ time.Time) corev1.ResourceList { return of(o, serviceUse) },
	// A service may turn into another type.
	Charged: func(subresource string, _, _ Object) bool { return subresource == "" },
}

var serviceNames = []corev1.ResourceName{
	countName(schema.GroupResource{Resource: "services"}), corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
}

// serviceUse goes by what the service will get, as its node ports may not have been chosen yet.
func serviceUse(s *corev1.Service) corev1.ResourceList {
	ports, balancers := 0, 0
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		ports = len(s.Spec.Ports)
	case corev1.ServiceTypeLoadBalancer:
		ports, balancers = len(s.Spec.Ports), 1
		if !ptr.Deref(s.Spec.AllocateLoadBalancerNodePorts, true) {
			chosen := slices.DeleteFunc(slices.Clone(s.Spec.Ports), func(p corev1.ServicePort) bool { return p.NodePort == 0 })
			ports = len(chosen)
		}
	}
	return corev1.ResourceList{
		serviceNames[0]: one, corev1.ResourceServices: one,
		corev1.ResourceServicesNodePorts:     whole(int64(ports)),
		corev1.ResourceServicesLoadBalancers: whole(int64(balancers)),
	}
}

func whole(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }

var claims = Meter{
	Resource: schema.GroupResource{Resource: "persistentvolumeclaims"},
	Counts:   countsForClaims,
	Use:      func(o Object, _ time.Time) corev1.ResourceList { return of(o, claimUse) },
	In: func(s corev1.ScopedResourceSelectorRequirement, o Object) bool {
		c, ok := o.(*corev1.PersistentVolumeClaim)
		return ok && s.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass && selects(s, attributesClasses(c)...)
	},
	Charged: claimCharged,
}

// ofStorageClass begins the last part of names for one storage class: gold.storageclass.storage.k8s.io/requests.storage.
const ofStorageClass = ".storageclass.storage.k8s.io/"

func countsForClaims(name corev1.ResourceName) bool {
	if _, rest, ok := strings.Cut(string(name), ofStorageClass); ok {
		name = corev1.ResourceName(rest)
	}
	return name == countName(schema.GroupResource{Resource: "persistentvolumeclaims"}) ||
		name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage
}

func claimUse(c *corev1.PersistentVolumeClaim) corev1.ResourceList {
	out := corev1.ResourceList{corev1.ResourcePersistentVolumeClaims: one}
	if storage, ok := claimStorage(c); ok {
		out[corev1.ResourceRequestsStorage] = storage
	}
	if class := storageClass(c); class != "" {
		for name, q := range pick(out, sortedNames(out)) {
			out[corev1.ResourceName(class+ofStorageClass)+name] = q
		}
	}
	out[countName(schema.GroupResource{Resource: "persistentvolumeclaims"})] = one
	return out
}

// storageClass is the class that a claim names; the annotation was first, and wins.
func storageClass(c *corev1.PersistentVolumeClaim) string {
	if class, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return ptr.Deref(c.Spec.StorageClassName, "")
}

// claimStorage is what a claim asks for or, while it is being made smaller again after an attempt to grow, still holds.
func claimStorage(c *corev1.PersistentVolumeClaim) (resource.Quantity, bool) {
	asked, ok := c.Spec.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		return asked, false
	}
	if held, ok := c.Status.AllocatedResources[corev1.ResourceStorage]; ok && held.Cmp(asked) > 0 {
		asked = held
	}
	asked = asked.DeepCopy()
	asked.RoundUp(0) // a quota counts whole bytes
	return asked, true
}

// attributesClasses are the volume attributes classes that a claim has, wants or is being given.
func attributesClasses(c *corev1.PersistentVolumeClaim) []string {
	names := []string{ptr.Deref(c.Spec.VolumeAttributesClassName, ""), ptr.Deref(c.Status.CurrentVolumeAttributesClassName, "")}
	if m := c.Status.ModifyVolumeStatus; m != nil {
		names = append(names, m.TargetVolumeAttributesClassName)
	}
	return names
}

// claimCharged: the status says how large a claim is, and of which classes.
func claimCharged(subresource string, next, old Object) bool {
	if subresource != "status" {
		return subresource == ""
	}
	is, ok := next.(*corev1.PersistentVolumeClaim)
	was, ok2 := old.(*corev1.PersistentVolumeClaim)
	return ok && ok2 && (is.Status.AllocatedResources.Storage().Cmp(*was.Status.AllocatedResources.Storage()) != 0 ||
		!slices.Equal(attributesClasses(is), attributesClasses(was)))
}

var devices = Meter{
	Resource: schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"},
	Counts: func(name corev1.ResourceName) bool {
		return name == countName(schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}) ||
			strings.HasSuffix(string(name), corev1.ResourceClaimsPerClass)
	},
	Use:     func(o Object, _ time.Time) corev1.ResourceList { return of(o, deviceUse) },
	Charged: func(subresource string, _, _ Object) bool { return subresource == "" },
}

// deviceUse is how many devices of each class a claim might be given: of alternatives, the most of each class.
func deviceUse(c *resourcev1.ResourceClaim) corev1.ResourceList {
	out := corev1.ResourceList{countName(schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}): one}
	for _, r := range c.Spec.Devices.Requests {
		most := corev1.ResourceList{}
		for _, alternative := range r.FirstAvailable {
			name := corev1.ResourceName(alternative.DeviceClassName + corev1.ResourceClaimsPerClass)
			if n := whole(deviceCount(alternative.AllocationMode, alternative.Count)); n.Cmp(most[name]) >= 0 {
				most[name] = n
			}
		}
		if e := r.Exactly; e != nil && len(r.FirstAvailable) == 0 {
			most[corev1.ResourceName(e.DeviceClassName+corev1.ResourceClaimsPerClass)] = whole(deviceCount(e.AllocationMode, e.Count))
		}
		add(out, most)
	}
	return out
}

// deviceCount is how many devices a request may come to; those of a mode that is not known count for nothing.
func deviceCount(mode resourcev1.DeviceAllocationMode, count int64) int64 {
	switch mode {
	case resourcev1.DeviceAllocationModeExactCount:
		return count
	case resourcev1.DeviceAllocationModeAll:
		return resourcev1.AllocationResultsMaxSize
	}
	return 0
}
