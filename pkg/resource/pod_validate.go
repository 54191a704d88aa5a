package resource

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The validation of a pod is a walk over its spec in the order of the API's own messages. The parts are functions of
// a value and its path; those that must know of the rest of the spec are methods of podCheck.

// podCheck is what the parts of a spec must know of each other.
type podCheck struct {
	spec *corev1.PodSpec
	// isPod is set for a pod itself, and podName is its name; neither is for the template of one.
	isPod   bool
	podName string
	// isMirror is set for a pod that shows what its kubelet runs anyway.
	isMirror bool
	// hostUsers says that the pod's users are those of the host.
	hostUsers bool
	// volumes are the valid ones, for mounts to refer to; claims are the resource claims, for containers.
	volumes map[string]*corev1.VolumeSource
	claims  map[string]bool
}

// validatePodSpec validates the spec of the pod p, or of a template if p is nil.
func validatePodSpec(s *corev1.PodSpec, p *corev1.Pod, path *place) field.ErrorList {
	c := podCheck{
		spec: s, isPod: p != nil, hostUsers: s.HostUsers == nil || *s.HostUsers,
		volumes: map[string]*corev1.VolumeSource{}, claims: map[string]bool{},
	}
	if p != nil {
		c.podName = p.Name
		_, c.isMirror = p.Annotations[corev1.MirrorPodAnnotationKey]
	}
	for _, claim := range s.ResourceClaims {
		if claim.Name != "" {
			c.claims[claim.Name] = true
		}
	}
	return join(c.content(path), c.placement(path), c.identity(path), c.classes(path))
}

// content validates what runs: volumes first, for the containers refer to them.
func (c *podCheck) content(path *place) field.ErrorList {
	s := c.spec
	return join(
		when(s.TerminationGracePeriodSeconds == nil, requiredAt(path.Child("terminationGracePeriodSeconds"), "")),
		c.validateVolumes(path.Child("volumes")),
		c.validateClaims(path.Child("resourceClaims")),
		c.validateContainers(path.Child("containers")),
		c.validateInitContainers(path.Child("initContainers")),
		c.validateEphemeralContainers(path.Child("ephemeralContainers")),
		given(s.Resources, path.Child("resources"), c.validatePodResources),
		c.hostPorts(path),
		presentOneOf(s.RestartPolicy, path.Child("restartPolicy"),
			corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever),
		presentOneOf(s.DNSPolicy, path.Child("dnsPolicy"),
			corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone),
	)
}

// placement validates where it runs, and as whom.
func (c *podCheck) placement(path *place) field.ErrorList {
	s := c.spec
	return join(
		labelMap(s.NodeSelector, path.Child("nodeSelector")),
		given(s.SecurityContext, path.Child("securityContext"), c.validatePodSecurityContext),
		given(s.Affinity, path.Child("affinity"), validateAffinity),
		c.dns(path.Child("dnsConfig")),
		each(s.ReadinessGates, path.Child("readinessGates"), func(g *corev1.PodReadinessGate, path *place) field.ErrorList {
			return qualifiedName(string(g.ConditionType), path.Child("conditionType"))
		}),
		validateSchedulingGates(s.SchedulingGates, path.Child("schedulingGates")),
		validateSpreadConstraints(s.TopologySpreadConstraints, path.Child("topologySpreadConstraints")),
		c.hostProcess(path),
		c.ownUsers(path),
	)
}

// identity validates the names of the pod and of what it belongs to.
func (c *podCheck) identity(path *place) field.ErrorList {
	s := c.spec
	named := func(name, child string) field.ErrorList {
		if name == "" {
			return nil
		}
		return invalid(path.Child(child), name, subdomainName(name, false))
	}
	label := func(name, child string) field.ErrorList {
		if name == "" {
			return nil
		}
		return dnsLabel(name, path.Child(child))
	}
	return join(
		named(s.ServiceAccountName, "serviceAccountName"),
		named(s.NodeName, "nodeName"),
		given(s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"), activeDeadline),
		label(s.Hostname, "hostname"),
		label(s.Subdomain, "subdomain"),
		given(s.HostnameOverride, path.Child("hostnameOverride"), c.hostnameOverride),
		validateTolerations(s.Tolerations, path.Child("tolerations")),
		each(s.HostAliases, path.Child("hostAliases"), hostAlias),
		named(s.PriorityClassName, "priorityClassName"),
	)
}

func activeDeadline(d *int64, path *place) field.ErrorList {
	return when(*d < 1 || *d > math.MaxInt32, invalidAt(path, *d, validation.InclusiveRangeError(1, math.MaxInt32)))
}

// classes validates how it is run.
func (c *podCheck) classes(path *place) field.ErrorList {
	s := c.spec
	var errs field.ErrorList
	if s.RuntimeClassName != nil {
		errs = invalid(path.Child("runtimeClassName"), *s.RuntimeClassName, subdomainName(*s.RuntimeClassName, false))
	}
	if s.PreemptionPolicy != nil {
		errs = append(errs, presentOneOf(*s.PreemptionPolicy, path.Child("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if s.Overhead != nil {
		errs = append(errs, c.resources(&corev1.ResourceRequirements{Limits: s.Overhead}, containerResourceName, path.Child("overhead"))...)
	}
	if s.OS != nil {
		errs = append(errs, c.os(path)...)
	}
	return append(errs, c.keyFiles(path)...)
}

// validateClaims refuses those of a mirror pod, one by one and with no more to say of where than upstream.
func (c *podCheck) validateClaims(path *place) field.ErrorList {
	if !c.isMirror {
		return validateResourceClaims(c.spec.ResourceClaims, path)
	}
	return each(c.spec.ResourceClaims, path, func(*corev1.PodResourceClaim, *place) field.ErrorList {
		return field.ErrorList{forbiddenAt(newPlace("[]"), "static pods do not support resource claims")}
	})
}

// validateResourceClaims validates the pod's claims of devices, each by its own name or by that of a template.
func validateResourceClaims(claims []corev1.PodResourceClaim, path *place) field.ErrorList {
	names := taken{}
	object := func(name *string, path *place) field.ErrorList {
		return invalid(path, *name, subdomainName(*name, false))
	}
	return each(claims, path, func(r *corev1.PodResourceClaim, path *place) field.ErrorList {
		var errs field.ErrorList
		switch {
		case r.Name == "":
			errs = field.ErrorList{requiredAt(path.Child("name"), "")}
		case !names.claim(r.Name):
			errs = field.ErrorList{duplicateAt(path.Child("name"), r.Name)}
		default:
			errs = dnsLabel(r.Name, path.Child("name"))
		}
		both, none := r.ResourceClaimName != nil && r.ResourceClaimTemplateName != nil, r.ResourceClaimName == nil && r.ResourceClaimTemplateName == nil
		return join(errs,
			when(both, invalidGoAt(path, r, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")),
			when(none, invalidGoAt(path, r, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")),
			given(r.ResourceClaimName, path.Child("resourceClaimName"), object),
			given(r.ResourceClaimTemplateName, path.Child("resourceClaimTemplateName"), object))
	})
}

// validatePodCreate adds to what every pod must be what only a new one must not have.
func validatePodCreate(p *corev1.Pod) field.ErrorList {
	return append(validatePod(p), locate(atSpec, func(path *place) field.ErrorList {
		gated := p.Spec.NodeName != "" && len(p.Spec.SchedulingGates) > 0
		return join(
			when(len(p.Spec.EphemeralContainers) > 0, forbiddenAt(path.Child("ephemeralContainers"), "cannot be set on create")),
			when(gated, forbiddenAt(path.Child("nodeName"), "cannot be set until all schedulingGates have been cleared")),
			seccompProfilesMatch(p.Annotations, &p.Spec, path),
			appArmorProfilesMatch(p.Annotations, &p.Spec, path),
		)
	})...)
}

// validatePod validates a pod, new or changed.
func validatePod(p *corev1.Pod) field.ErrorList {
	return join(
		validateMeta(p, true, subdomainName),
		locate(atAnnotations, func(path *place) field.ErrorList {
			return validatePodAnnotations(p.Annotations, &p.Spec, path)
		}),
		locate(atSpec, func(path *place) field.ErrorList { return validateSpecOfPod(p, path) }),
	)
}

// validateSpecOfPod is stricter than the validation of a template's spec where older templates rely on the laxness.
func validateSpecOfPod(p *corev1.Pod, path *place) field.ErrorList {
	return join(
		validatePodSpec(&p.Spec, p, path),
		tokensWithoutAccount(&p.Spec, path.Child("volumes")),
		each(p.Spec.Containers, path.Child("containers"), untrimmedImage),
		each(p.Spec.InitContainers, path.Child("initContainers"), untrimmedImage),
	)
}

// tokensWithoutAccount finds volumes that want a token of an account that the pod does not have.
func tokensWithoutAccount(s *corev1.PodSpec, path *place) field.ErrorList {
	if s.ServiceAccountName != "" {
		return nil
	}
	return each(s.Volumes, path, func(v *corev1.Volume, path *place) field.ErrorList {
		return given(v.Projected, path.Child("projected"), func(p *corev1.ProjectedVolumeSource, path *place) field.ErrorList {
			return each(p.Sources, path.Child("sources"), func(s *corev1.VolumeProjection, path *place) field.ErrorList {
				return when(s.ServiceAccountToken != nil, forbiddenAt(path.Child("serviceAccountToken"), "must not be specified when serviceAccountName is not set"))
			})
		})
	})
}
