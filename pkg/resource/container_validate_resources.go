package resource

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Names of resources come in three kinds. Native ones have no domain, or kubernetes.io, and the cluster knows what
// they are; a node may promise more of them than it has, except of huge pages. Extended ones have a domain
// (example.com/gpu): somebody's plugin counts them, in whole numbers, and none may be promised twice.

// standardResources are the native ones that something in the API may count.
var standardResources = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
	corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers,
	corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
	corev1.ResourceStorage, corev1.ResourceRequestsStorage, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
}

// containerResources are the native ones that a container may ask for, besides huge pages.
var containerResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isExtended(name corev1.ResourceName) bool {
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(qualifiedProblems(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

func mayOvercommit(name corev1.ResourceName) bool { return isNative(name) && !isHugePages(name) }

func resourceName(name corev1.ResourceName, path *place) field.ErrorList {
	if errs := invalid(path, name, qualifiedProblems(string(name))); len(errs) > 0 {
		return errs
	}
	quota := strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
	known := strings.Contains(string(name), "/") || isHugePages(name) || quota || slices.Contains(standardResources, name)
	return when(!known, invalidAt(path, name, "must be a standard resource type or fully qualified"))
}

func containerResourceName(name corev1.ResourceName, path *place) field.ErrorList {
	errs := resourceName(name, path)
	switch {
	case !strings.Contains(string(name), "/"):
		return append(errs, when(!isHugePages(name) && !slices.Contains(containerResources, name),
			invalidAt(path, name, "must be a standard resource for containers"))...)
	case !isNative(name) && !isExtended(name):
		return append(errs, invalidAt(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

func podResourceName(name corev1.ResourceName, path *place) field.ErrorList {
	if errs := resourceName(name, path); len(errs) > 0 {
		return errs
	}
	return when(!resourcehelper.IsSupportedPodLevelResource(name),
		notSupportedAt(path, name, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceHugePagesPrefix, corev1.ResourceMemory}))
}

// quantityFor validates an amount: not negative, and whole where the resource cannot be split.
func quantityFor(name corev1.ResourceName, q resource.Quantity, path *place) field.ErrorList {
	whole := isExtended(name) || (slices.Contains(standardResources, name) && countsObjects(name))
	var errs field.ErrorList
	if q.Sign() < 0 {
		errs = field.ErrorList{invalidAt(path, q.String(), "must be greater than or equal to 0")}
	}
	return append(errs, when(whole && q.MilliValue()%1000 != 0, invalidAt(path, q, "must be an integer"))...)
}

func countsObjects(name corev1.ResourceName) bool {
	for _, part := range []string{"cpu", "memory", "storage"} {
		if strings.HasSuffix(string(name), part) {
			return false
		}
	}
	return true
}

// wholePages wants a multiple of the page size that is in the name: hugepages-2Mi.
func wholePages(name corev1.ResourceName, q resource.Quantity, path *place) field.ErrorList {
	if !isHugePages(name) {
		return nil
	}
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	whole := err == nil && size.Sign() > 0 && size.MilliValue()%1000 == 0 && q.Value()%size.Value() == 0
	return when(!whole, invalidAt(path, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name)))
}

// resources validates requests and limits; name validates their names, which differ for containers and pods.
func (c *podCheck) resources(r *corev1.ResourceRequirements, name func(corev1.ResourceName, *place) field.ErrorList, path *place) field.ErrorList {
	limits, requests := path.Child("limits"), path.Child("requests")
	var errs field.ErrorList
	for n, q := range sorted(r.Limits) {
		at := limits.Key(string(n))
		errs = join(errs, name(n, at), quantityFor(n, q, at), wholePages(n, q, at))
	}
	for n, q := range sorted(r.Requests) {
		at := requests.Key(string(n))
		errs = join(errs, name(n, at), quantityFor(n, q, at), withinLimit(r, n, path), wholePages(n, q, at))
	}
	return join(errs,
		when(hasHugePages(r) && !hasCompute(r), forbiddenAt(path, "HugePages require cpu or memory")),
		c.resourceClaims(r.Claims, path.Child("claims")))
}

// withinLimit wants a request not to exceed its limit, and to equal it where nodes may not overcommit.
func withinLimit(r *corev1.ResourceRequirements, name corev1.ResourceName, path *place) field.ErrorList {
	request := r.Requests[name]
	limit, limited := r.Limits[name]
	at := path.Child("requests")
	switch {
	case !limited:
		return when(!mayOvercommit(name), requiredAt(path.Child("limits"), "Limit must be set for non overcommitable resources"))
	case !mayOvercommit(name) && request.Cmp(limit) != 0:
		return field.ErrorList{invalidAt(at, request.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))}
	case request.Cmp(limit) > 0:
		return field.ErrorList{invalidAt(at, request.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))}
	}
	return nil
}

func hasHugePages(r *corev1.ResourceRequirements) bool { return anyResource(r, isHugePages) }

func hasCompute(r *corev1.ResourceRequirements) bool {
	return anyResource(r, func(n corev1.ResourceName) bool { return n == corev1.ResourceCPU || n == corev1.ResourceMemory })
}

func anyResource(r *corev1.ResourceRequirements, is func(corev1.ResourceName) bool) bool {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for n := range list {
			if is(n) {
				return true
			}
		}
	}
	return false
}

// resourceClaims wants each claim, or each request of it, named once, and known to the pod.
func (c *podCheck) resourceClaims(claims []corev1.ResourceClaim, path *place) field.ErrorList {
	seen, named := taken{}, taken{}
	return each(claims, path, func(r *corev1.ResourceClaim, path *place) field.ErrorList {
		if r.Name == "" {
			return field.ErrorList{requiredAt(path, "")}
		}
		key := r.Name
		var errs field.ErrorList
		if r.Request != "" {
			key += "/" + r.Request
		}
		whole := seen[r.Name]
		again := !seen.claim(key)
		first := named.claim(r.Name)
		switch {
		case whole || (r.Request == "" && !first):
			errs = append(errs, duplicateAt(path, r.Name))
		case again:
			errs = append(errs, duplicateAt(path, key))
		}
		return append(errs, c.knownClaim(r.Name, path)...)
	})
}

func (c *podCheck) knownClaim(name string, path *place) field.ErrorList {
	if c.claims[name] {
		return nil
	}
	among := " which is empty"
	if len(c.claims) > 0 {
		among = ": " + strings.Join(slices.Sorted(maps.Keys(c.claims)), ", ")
	}
	e := *notFoundAt(path, name)
	e.Detail = "must be one of the names in pod.spec.resourceClaims" + among
	return field.ErrorList{&e}
}

// validatePodResources validates resources of the pod as a whole: the containers must fit into them.
func (c *podCheck) validatePodResources(r *corev1.ResourceRequirements, path *place) field.ErrorList {
	if os := c.spec.OS; os != nil && os.Name == corev1.Windows {
		return field.ErrorList{forbiddenAt(path, "may not be set for a windows pod")}
	}
	errs := when(r.Claims != nil, forbiddenAt(path.Child("claims"), "claims may not be set for Resources at pod-level"))
	errs = append(errs, c.resources(r, podResourceName, path)...)
	sum := resourcehelper.AggregateContainerRequests(&corev1.Pod{Spec: *c.spec}, resourcehelper.PodResourcesOptions{})
	for name, q := range sorted(sum) {
		if have, asked := r.Requests[name]; asked && q.Cmp(have) > 0 {
			errs = append(errs, invalidAt(path.Child("requests").Key(string(name)), have.String(),
				"must be greater than or equal to aggregate container requests of "+q.String()))
		}
	}
	limits := resourcehelper.AggregateContainerLimits(&corev1.Pod{Spec: *c.spec}, resourcehelper.PodResourcesOptions{})
	for name, q := range sorted(limits) {
		if have, limited := r.Limits[name]; isHugePages(name) && limited && q.Cmp(have) > 0 {
			errs = append(errs, invalidAt(path.Child("limits").Key(string(name)), have.String(),
				"must be greater than or equal to aggregate container limits of "+q.String()))
		}
	}
	for i := range c.spec.Containers {
		for name, q := range sorted(c.spec.Containers[i].Resources.Limits) {
			if limit, limited := r.Limits[name]; limited && q.Cmp(limit) > 0 {
				at := path.Child("containers").Index(i).Key(string(name)).Child("limits")
				errs = append(errs, invalidAt(at, q.String(), "must be less than or equal to pod limits of "+limit.String()))
			}
		}
	}
	return errs
}
