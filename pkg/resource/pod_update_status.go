package resource

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// validatePodStatusUpdate refuses what no kubelet would report.
func validatePodStatusUpdate(next, old *corev1.Pod) field.ErrorList {
	return join(validateMetaUpdate(next, old), changedPodAnnotations(next, old),
		locate(atStatus, func(path *place) field.ErrorList { return changedStatus(next, old, path) }))
}

func changedStatus(next, old *corev1.Pod, path *place) field.ErrorList {
	s, was := &next.Status, &old.Status
	errs := each(s.Conditions, path.Child("conditions"), podCondition)
	if s.NominatedNodeName != was.NominatedNodeName && s.NominatedNodeName != "" {
		at := path.Child("nominatedNodeName")
		errs = join(errs, invalid(at, s.NominatedNodeName, subdomainName(s.NominatedNodeName, false)),
			when(old.Spec.NodeName != "", forbiddenAt(at, "may not be set on pods that are already bound to a node")))
	}
	return join(errs,
		observedGeneration(s.ObservedGeneration, path.Child("observedGeneration")),
		immutable(s.QOSClass, was.QOSClass, path.Child("qosClass")),
		containerTransitions(s.ContainerStatuses, was.ContainerStatuses, old.Spec.RestartPolicy, restartersOf(old.Spec.Containers, false), path.Child("containerStatuses")),
		containerTransitions(s.InitContainerStatuses, was.InitContainerStatuses, old.Spec.RestartPolicy, restartersOf(old.Spec.InitContainers, true), path.Child("initContainerStatuses")),
		containerTransitions(s.EphemeralContainerStatuses, was.EphemeralContainerStatuses, corev1.RestartPolicyNever, nil, path.Child("ephemeralContainerStatuses")),
		claimStatuses(s.ResourceClaimStatuses, next.Spec.ResourceClaims, path.Child("resourceClaimStatuses")),
		extendedClaim(s.ExtendedResourceClaimStatus, &next.Spec, path.Child("extendedResourceClaimStatus")),
		podIPs(s, was, path.Child("podIPs")),
		hostIPs(s, was, path.Child("hostIPs")),
		containerStatuses(s, next, path))
}

func observedGeneration(g int64, path *place) field.ErrorList {
	return when(g < 0, invalidAt(path, g, "must be a non-negative integer"))
}

// systemConditions are the types that need not be qualified names.
var systemConditions = []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized}

func podCondition(c *corev1.PodCondition, path *place) field.ErrorList {
	errs := observedGeneration(c.ObservedGeneration, path.Child("observedGeneration"))
	if slices.Contains(systemConditions, c.Type) {
		return errs
	}
	return append(errs, qualifiedName(string(c.Type), path.Child("Type"))...)
}

// restartersOf are the containers that may run again whatever the pod's policy is: sidecars, and those with a policy
// or rules of their own.
func restartersOf(list []corev1.Container, init bool) taken {
	restarts := taken{}
	for i := range list {
		c := &list[i]
		own := c.RestartPolicy != nil && *c.RestartPolicy != corev1.ContainerRestartPolicyNever
		if own || len(c.RestartPolicyRules) > 0 || (init && isSidecar(c)) {
			restarts.claim(c.Name)
		}
	}
	return restarts
}

// containerTransitions: a container that has ended, and may not run again, has ended for good.
func containerTransitions(next, old []corev1.ContainerStatus, policy corev1.RestartPolicy, restarts taken, path *place) field.ErrorList {
	if policy == corev1.RestartPolicyAlways {
		return nil
	}
	var errs field.ErrorList
	for i, was := range old {
		ended := was.State.Terminated
		if ended == nil || restarts[was.Name] || (ended.ExitCode != 0 && policy == corev1.RestartPolicyOnFailure) {
			continue
		}
		for _, now := range next {
			errs = append(errs, when(now.Name == was.Name && now.State.Terminated == nil,
				forbiddenAt(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))...)
		}
	}
	return errs
}

func claimStatuses(list []corev1.PodResourceClaimStatus, claims []corev1.PodResourceClaim, path *place) field.ErrorList {
	names := taken{}
	return each(list, path, func(s *corev1.PodResourceClaimStatus, path *place) field.ErrorList {
		at := path.Child("name")
		known := slices.ContainsFunc(claims, func(c corev1.PodResourceClaim) bool { return c.Name == s.Name })
		return join(
			when(!known, invalidAt(at, s.Name, "must match the name of an entry in `spec.resourceClaims`")),
			when(!names.claim(s.Name), duplicateAt(at, s.Name)),
			given(s.ResourceClaimName, path.Child("resourceClaimName"), func(n *string, path *place) field.ErrorList {
				return invalid(path, n, subdomainName(*n, false))
			}))
	})
}

// podIPs wants the one IP that old clients read, podIP, to be the first.
func podIPs(s, old *corev1.PodStatus, path *place) field.ErrorList {
	of := func(p corev1.PodIP) string { return p.IP }
	errs := addresses(s.PodIPs, old.PodIPs, of, path)
	switch {
	case (s.PodIP != "") != (len(s.PodIPs) > 0):
		return append(errs, invalidGoAt(path, s.PodIPs, "podIP and podIPs must either both be set or both be unset"))
	case len(s.PodIPs) > 0 && s.PodIP != s.PodIPs[0].IP:
		return append(errs, invalidAt(path.Index(0).Child("ip"), s.PodIPs[0].IP, "must be equal to `podIP`"))
	}
	return errs
}

func hostIPs(s, old *corev1.PodStatus, path *place) field.ErrorList {
	var errs field.ErrorList
	if len(s.HostIPs) > 0 {
		first := s.HostIPs[0].IP
		errs = when(first != s.HostIP, invalidAt(path.Index(0).Child("ip"), first, "must be equal to `hostIP`"))
	}
	return append(errs, addresses(s.HostIPs, old.HostIPs, func(h corev1.HostIP) string { return h.IP }, path)...)
}

// addresses wants at most one IP of each family, each in its one spelling unless it was there before.
func addresses[T any](list, old []T, of func(T) string, path *place) field.ErrorList {
	var had, ips []string
	for _, ip := range old {
		had = append(had, of(ip))
	}
	errs := each(list, path, func(ip *T, path *place) field.ErrorList {
		ips = append(ips, of(*ip))
		return validation.IsValidIPForLegacyField(path.path(), of(*ip), true, had)
	})
	if len(ips) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	return join(errs,
		when(err != nil, internalErrorAt(path, fmt.Errorf("failed to check for dual stack with error:%v", err))),
		when(!dual || len(ips) > 2, invalidGoAt(path, list, "may specify no more than one IP for each IP family")))
}

// extendedClaim validates which requests of a claim, made for the pod's extended resources, stand for which of them.
func extendedClaim(s *corev1.PodExtendedResourceClaimStatus, spec *corev1.PodSpec, path *place) field.ErrorList {
	if s == nil {
		return nil
	}
	mappings, seen := path.Child("requestMappings"), taken{}
	errs := when(len(s.RequestMappings) == 0, requiredAt(mappings, "at least one request mapping is required"))
	for i := range s.RequestMappings {
		m, at := &s.RequestMappings[i], mappings.Index(i)
		errs = join(errs, mappedResource(m, spec, at), dnsLabel(m.RequestName, path.Child("requestName")))
		if !seen.claim(m.ContainerName + "\x00" + m.ResourceName + "\x00" + m.RequestName) {
			errs = append(errs, duplicateAt(at.Child("containerName"), m.ContainerName),
				duplicateAt(at.Child("resourceName"), m.ResourceName), duplicateAt(at.Child("requestName"), m.RequestName))
		}
	}
	name := path.Child("resourceClaimName")
	if s.ResourceClaimName == "" {
		return append(errs, requiredAt(name, ""))
	}
	return append(errs, invalid(name, s.ResourceClaimName, subdomainName(s.ResourceClaimName, false))...)
}

func mappedResource(m *corev1.ContainerExtendedResourceRequest, spec *corev1.PodSpec, path *place) field.ErrorList {
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			if list[i].Name == m.ContainerName {
				_, asked := list[i].Resources.Requests[corev1.ResourceName(m.ResourceName)]
				return when(!asked, invalidAt(path.Child("resourceName"), m.ResourceName,
					"must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests"))
			}
		}
	}
	return field.ErrorList{invalidAt(path.Child("containerName"), m.ContainerName,
		"must match the name of an entry in spec.initContainers.name or spec.containers.name")}
}

// containerStatuses validates what the statuses of the three kinds of containers say of users and devices.
func containerStatuses(s *corev1.PodStatus, p *corev1.Pod, path *place) field.ErrorList {
	windows := p.Spec.OS != nil && p.Spec.OS.Name == corev1.Windows
	user := func(c *corev1.ContainerStatus, path *place) field.ErrorList {
		if c.User == nil || c.User.Linux == nil {
			return nil
		}
		u, at := c.User.Linux, path.Child("user", "linux")
		if windows {
			return field.ErrorList{forbiddenAt(at, notOnWindows)}
		}
		return join(when(u.UID < 0 || u.UID > math.MaxUint32, invalidAt(at.Child("uid"), u.UID, validation.InclusiveRangeError(0, math.MaxUint32))), groupID(&u.GID, at.Child("gid")),
			each(u.SupplementalGroups, at.Child("supplementalGroups"), groupID))
	}
	main, init, ephemeral := path.Child("containerStatuses"), path.Child("initContainerStatuses"), path.Child("ephemeralContainerStatuses")
	return join(
		each(s.ContainerStatuses, main, user),
		each(s.InitContainerStatuses, init, user),
		each(s.EphemeralContainerStatuses, ephemeral, user),
		each(s.ContainerStatuses, main, devicesOf(p.Spec.Containers, s.ExtendedResourceClaimStatus)),
		each(s.InitContainerStatuses, init, devicesOf(p.Spec.InitContainers, s.ExtendedResourceClaimStatus)),
		each(s.EphemeralContainerStatuses, ephemeral, func(c *corev1.ContainerStatus, path *place) field.ErrorList {
			return when(len(c.AllocatedResourcesStatus) > 0, forbiddenAt(path.Child("allocatedResourcesStatus"), "must not be specified in container status"))
		}))
}

// devicesOf validates the health of devices: of what the container asked for, each once.
func devicesOf(containers []corev1.Container, extended *corev1.PodExtendedResourceClaimStatus) func(*corev1.ContainerStatus, *place) field.ErrorList {
	return func(c *corev1.ContainerStatus, path *place) field.ErrorList {
		i := slices.IndexFunc(containers, func(spec corev1.Container) bool { return spec.Name == c.Name })
		return each(c.AllocatedResourcesStatus, path.Child("allocatedResourcesStatus"), func(r *corev1.ResourceStatus, path *place) field.ErrorList {
			var errs field.ErrorList
			if i >= 0 {
				problem := notAskedFor(&containers[i], r.Name, extended)
				errs = when(problem != "", invalidAt(path.Child("name"), r.Name, problem))
			}
			ids := taken{}
			return append(errs, each(r.Resources, path.Child("resources"), func(h *corev1.ResourceHealth, path *place) field.ErrorList {
				return join(
					oneOf(h.Health, path.Child("health"), corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown),
					given(h.Message, path.Child("message"), healthMessage),
					when(!ids.claim(string(h.ResourceID)), duplicateAt(path.Child("resourceID"), h.ResourceID)))
			})...)
		})
	}
}

func healthMessage(m *string, path *place) field.ErrorList {
	return join(
		when(*m == "", requiredAt(path, "must be non-empty if specified")),
		when(len(*m) > corev1.ResourceHealthMessageMaxLength, tooLongAt(path, *m, corev1.ResourceHealthMessageMaxLength)))
}

// notAskedFor says in which words a device is none of the container's; a claim is written claim:NAME or claim:NAME/REQUEST.
func notAskedFor(c *corev1.Container, name corev1.ResourceName, extended *corev1.PodExtendedResourceClaimStatus) string {
	if !strings.HasPrefix(string(name), "claim:") {
		if _, ok := c.Resources.Requests[name]; !ok {
			return "must match one of the container's resource requests"
		}
		return ""
	}
	for _, r := range c.Resources.Claims {
		full := "claim:" + r.Name
		if r.Request != "" {
			full = fmt.Sprintf("%s/%s", full, r.Request)
		}
		if full == string(name) {
			return ""
		}
	}
	if extended != nil {
		for _, m := range extended.RequestMappings {
			q := c.Resources.Requests[corev1.ResourceName(m.ResourceName)]
			if m.ContainerName == c.Name && !q.IsZero() && string(name) == "claim:"+extended.ResourceClaimName+"/"+m.RequestName {
				return ""
			}
		}
	}
	return "must match one of the container's resource claims as 'claim:<claimName>/<requestName>' when container.resources.claims[*].request is set or 'claim:<claimName>' when it is empty"
}
