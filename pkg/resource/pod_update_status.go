package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// validatePodStatusUpdate refuses what no kubelet would report.
func validatePodStatusUpdate(next, old *corev1.Pod) field.ErrorList {
	return join(validateMetaUpdate(next, old), changedPodAnnotations(next, old),
		locate(atMetadata, func(path *place) field.ErrorList {
			return each(next.Status.Conditions, path.Child("conditions"), podCondition)
		}),
		locate(atStatus, func(path *place) field.ErrorList { return changedStatus(next, old, path) }))
}

func changedStatus(next, old *corev1.Pod, path *place) field.ErrorList {
	s, was := &next.Status, &old.Status
	var errs field.ErrorList
	if s.NominatedNodeName != was.NominatedNodeName && s.NominatedNodeName != "" {
		errs = append(errs, invalid(path.Child("nominatedNodeName"), s.NominatedNodeName, subdomainName(s.NominatedNodeName, false))...)
	}
	return join(errs,
		nonNegative(s.ObservedGeneration, path.Child("observedGeneration")),
		immutable(s.QOSClass, was.QOSClass, path.Child("qosClass")),
		containerTransitions(s.ContainerStatuses, was.ContainerStatuses, old.Spec.RestartPolicy, restartersOf(old.Spec.Containers, false), path.Child("containerStatuses")),
		containerTransitions(s.InitContainerStatuses, was.InitContainerStatuses, old.Spec.RestartPolicy, restartersOf(old.Spec.InitContainers, true), path.Child("initContainerStatuses")),
		containerTransitions(s.EphemeralContainerStatuses, was.EphemeralContainerStatuses, corev1.RestartPolicyNever, nil, path.Child("ephemeralContainerStatuses")),
		claimStatuses(s.ResourceClaimStatuses, next.Spec.ResourceClaims, path.Child("resourceClaimStatuses")),
		podIPs(s.PodIPs, path.Child("podIPs")),
		hostIPs(s, path.Child("hostIPs")),
		containerStatuses(s, next, path))
}

// systemConditions are the types that need not be qualified names.
var systemConditions = []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized}

func podCondition(c *corev1.PodCondition, path *place) field.ErrorList {
	errs := nonNegative(c.ObservedGeneration, path.Child("observedGeneration"))
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
			given(s.ResourceClaimName, at, func(n *string, path *place) field.ErrorList {
				return invalid(path, n, subdomainName(*n, false))
			}))
	})
}

func podIPs(list []corev1.PodIP, path *place) field.ErrorList {
	ips := make([]string, 0, len(list))
	for _, ip := range list {
		ips = append(ips, ip.IP)
	}
	return addresses(ips, list, path)
}

func hostIPs(s *corev1.PodStatus, path *place) field.ErrorList {
	ips := make([]string, 0, len(s.HostIPs))
	for _, ip := range s.HostIPs {
		ips = append(ips, ip.IP)
	}
	var errs field.ErrorList
	if len(ips) > 0 {
		errs = when(ips[0] != s.HostIP, invalidAt(path.Index(0).Child("ip"), ips[0], "must be equal to `hostIP`"))
	}
	return append(errs, addresses(ips, s.HostIPs, path)...)
}

// addresses wants at most one IP of each family; shown is what the message shows.
func addresses(ips []string, shown any, path *place) field.ErrorList {
	seen := taken{}
	errs := each(ips, path, func(ip *string, path *place) field.ErrorList {
		return append(strictIP(*ip, path), when(!seen.claim(*ip), duplicateAt(path, map[string]string{"ip": *ip}))...)
	})
	if len(ips) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		return errs // said above: one of them is no IP
	}
	return append(errs, when(!dual || len(ips) > 2, invalidAt(path, shown, "may specify no more than one IP for each IP family"))...)
}

// containerStatuses validates what the statuses of the three kinds of containers say of users and devices.
func containerStatuses(s *corev1.PodStatus, p *corev1.Pod, path *place) field.ErrorList {
	windows := p.Spec.OS != nil && p.Spec.OS.Name == corev1.Windows
	user := func(c *corev1.ContainerStatus, path *place) field.ErrorList {
		if c.User == nil || c.User.Linux == nil {
			return nil
		}
		u, at := c.User.Linux, path.Child("linux")
		if windows {
			return field.ErrorList{forbiddenAt(at, notOnWindows)}
		}
		return join(userID(&u.UID, at.Child("uid")), groupID(&u.GID, at.Child("gid")),
			each(u.SupplementalGroups, at.Child("supplementalGroups"), groupID))
	}
	main, init, ephemeral := path.Child("containerStatuses"), path.Child("initContainerStatuses"), path.Child("ephemeralContainerStatuses")
	return join(
		each(s.ContainerStatuses, main, user),
		each(s.InitContainerStatuses, init, user),
		each(s.EphemeralContainerStatuses, ephemeral, user),
		each(s.ContainerStatuses, main, devicesOf(p.Spec.Containers)),
		each(s.InitContainerStatuses, init, devicesOf(p.Spec.InitContainers)),
		each(s.EphemeralContainerStatuses, ephemeral, func(c *corev1.ContainerStatus, path *place) field.ErrorList {
			return when(len(c.AllocatedResourcesStatus) > 0, forbiddenAt(path.Child("allocatedResourcesStatus"), "must not be specified in container status"))
		}))
}

// devicesOf validates the health of devices: of what the container asked for, each once.
func devicesOf(containers []corev1.Container) func(*corev1.ContainerStatus, *place) field.ErrorList {
	return func(c *corev1.ContainerStatus, path *place) field.ErrorList {
		i := slices.IndexFunc(containers, func(spec corev1.Container) bool { return spec.Name == c.Name })
		return each(c.AllocatedResourcesStatus, path.Child("allocatedResourcesStatus"), func(r *corev1.ResourceStatus, path *place) field.ErrorList {
			var errs field.ErrorList
			if i >= 0 {
				problem := notAskedFor(&containers[i], r.Name)
				errs = when(problem != "", invalidAt(path.Child("name"), r.Name, problem))
			}
			ids := taken{}
			return append(errs, each(r.Resources, path.Child("resources"), func(h *corev1.ResourceHealth, path *place) field.ErrorList {
				return append(
					oneOf(h.Health, path.Child("health"), corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown),
					when(!ids.claim(string(h.ResourceID)), duplicateAt(path.Child("resourceID"), h.ResourceID))...)
			})...)
		})
	}
}

func notAskedFor(c *corev1.Container, name corev1.ResourceName) string {
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
	return "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"
}
