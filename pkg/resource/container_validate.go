package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) validateContainers(path *place) field.ErrorList {
	list := c.spec.Containers
	if len(list) == 0 {
		return field.ErrorList{requiredAt(path, "")}
	}
	var all field.ErrorList
	names := taken{}
	for i := range list {
		ctr, path := &list[i], path.Index(i)
		all = join(all, c.container(ctr, path),
			when(!names.claim(ctr.Name), duplicateAt(path.Child("name"), ctr.Name)),
			c.lifecycleAndProbes(ctr, path),
			restartRules(ctr, path))
	}
	return append(all, hostPortConflicts(list, path)...)
}

// validateInitContainers: one that does not stay, as a sidecar does, has nothing to probe and no lifecycle.
func (c *podCheck) validateInitContainers(path *place) field.ErrorList {
	names := taken{}
	for _, ctr := range c.spec.Containers {
		names.claim(ctr.Name)
	}
	var all field.ErrorList
	for i := range c.spec.InitContainers {
		ctr, at := &c.spec.InitContainers[i], path.Index(i)
		all = join(all, c.container(ctr, at), restartRules(ctr, at),
			when(names[ctr.Name], duplicateAt(at.Child("name"), ctr.Name)),
			hostPortConflicts(c.spec.InitContainers[i:i+1], path))
		if ctr.Name != "" {
			names.claim(ctr.Name)
		}
		if isSidecar(ctr) {
			all = append(all, c.lifecycleAndProbes(ctr, at)...)
		} else {
			all = join(all, sidecarsOnly(ctr, at), restartsOfInit(ctr, at.Child("resizePolicy")))
		}
	}
	return all
}

func sidecarsOnly(ctr *corev1.Container, path *place) field.ErrorList {
	const detail = "may not be set for init containers without restartPolicy=Always"
	return join(
		when(ctr.Lifecycle != nil, forbiddenAt(path.Child("lifecycle"), detail)),
		when(ctr.LivenessProbe != nil, forbiddenAt(path.Child("livenessProbe"), detail)),
		when(ctr.ReadinessProbe != nil, forbiddenAt(path.Child("readinessProbe"), detail)),
		when(ctr.StartupProbe != nil, forbiddenAt(path.Child("startupProbe"), detail)),
	)
}

// restartsOfInit: what runs once cannot be run again to be resized.
func restartsOfInit(ctr *corev1.Container, path *place) field.ErrorList {
	return each(ctr.ResizePolicy, path, func(p *corev1.ContainerResizePolicy, path *place) field.ErrorList {
		return when(p.RestartPolicy == corev1.RestartContainer, invalidAt(path.Child("restartPolicy"), p.RestartPolicy,
			"must not be set to 'RestartContainer' for non-sidecar initContainers"))
	})
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// validateEphemeralContainers: what joins a running pod to look at it must not become part of how it works.
func (c *podCheck) validateEphemeralContainers(path *place) field.ErrorList {
	names, targets := taken{}, taken{}
	for _, list := range [][]corev1.Container{c.spec.Containers, c.spec.InitContainers} {
		for _, ctr := range list {
			names.claim(ctr.Name)
			targets.claim(ctr.Name)
		}
	}
	var all field.ErrorList
	for i := range c.spec.EphemeralContainers {
		e, path := &c.spec.EphemeralContainers[i], path.Index(i)
		ctr := (*corev1.Container)(&e.EphemeralContainerCommon)
		all = join(all, c.container(ctr, path), untrimmedImage(ctr, path),
			when(!names.claim(e.Name), duplicateAt(path.Child("name"), e.Name)),
			when(e.TargetContainerName != "" && !targets[e.TargetContainerName], notFoundAt(path.Child("targetContainerName"), e.TargetContainerName)),
			onlyFields(e.EphemeralContainerCommon, notEphemeral, path, ephemeralFields...),
			each(e.VolumeMounts, path.Child("volumeMounts"), noSubPath))
	}
	return all
}

const notEphemeral = "cannot be set for an Ephemeral Container"

var ephemeralFields = []string{
	"Name", "Image", "Command", "Args", "WorkingDir", "EnvFrom", "Env", "VolumeMounts", "VolumeDevices",
	"TerminationMessagePath", "TerminationMessagePolicy", "ImagePullPolicy", "SecurityContext", "Stdin", "StdinOnce", "TTY",
}

func noSubPath(m *corev1.VolumeMount, path *place) field.ErrorList {
	return join(
		when(m.SubPath != "", forbiddenAt(path.Child("subPath"), notEphemeral)),
		when(m.SubPathExpr != "", forbiddenAt(path.Child("subPathExpr"), notEphemeral)),
	)
}

// container validates what all containers have in common.
func (c *podCheck) container(ctr *corev1.Container, path *place) field.ErrorList {
	name := present(ctr.Name, path.Child("name"))
	if ctr.Name != "" {
		name = dnsLabel(ctr.Name, path.Child("name"))
	}
	return join(
		name,
		present(ctr.Image, path.Child("image")),
		presentOneOf(ctr.TerminationMessagePolicy, path.Child("terminationMessagePolicy"),
			corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError),
		containerPorts(ctr.Ports, path.Child("ports")),
		c.env(ctr.Env, path.Child("env")),
		envFrom(ctr.EnvFrom, path.Child("envFrom")),
		c.volumeMounts(ctr, path.Child("volumeMounts")),
		c.volumeDevices(ctr, path.Child("volumeDevices")),
		pullPolicy(ctr.ImagePullPolicy, path.Child("imagePullPolicy")),
		c.resources(&ctr.Resources, containerResourceName, path.Child("resources")),
		c.resizePolicy(ctr, path.Child("resizePolicy")),
		c.securityContext(ctr.SecurityContext, path.Child("securityContext")),
	)
}

// untrimmedImage is refused in pods only: older templates use a blank image to mean "to be filled in".
func untrimmedImage(ctr *corev1.Container, path *place) field.ErrorList {
	return when(strings.TrimSpace(ctr.Image) != ctr.Image, invalidAt(path.Child("image"), ctr.Image, "must not have leading or trailing whitespace"))
}

func pullPolicy(p corev1.PullPolicy, path *place) field.ErrorList {
	return presentOneOf(p, path, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}

func containerPorts(ports []corev1.ContainerPort, path *place) field.ErrorList {
	names := taken{}
	return each(ports, path, func(p *corev1.ContainerPort, path *place) field.ErrorList {
		var errs field.ErrorList
		if p.Name != "" {
			errs = invalid(path.Child("name"), p.Name, validation.IsValidPortName(p.Name))
			if len(errs) == 0 {
				errs = when(!names.claim(p.Name), duplicateAt(path.Child("name"), p.Name))
			}
		}
		if p.ContainerPort == 0 {
			errs = append(errs, requiredAt(path.Child("containerPort"), ""))
		} else {
			errs = append(errs, invalid(path.Child("containerPort"), p.ContainerPort, validation.IsValidPortNum(int(p.ContainerPort)))...)
		}
		if p.HostPort != 0 {
			errs = append(errs, invalid(path.Child("hostPort"), p.HostPort, validation.IsValidPortNum(int(p.HostPort)))...)
		}
		return append(errs, presentOneOf(p.Protocol, path.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	})
}

// hostPortConflicts finds ports of the node that two containers want.
func hostPortConflicts(list []corev1.Container, path *place) field.ErrorList {
	ports := taken{}
	return each(list, path, func(ctr *corev1.Container, path *place) field.ErrorList {
		return each(ctr.Ports, path.Child("ports"), func(p *corev1.ContainerPort, path *place) field.ErrorList {
			if p.HostPort == 0 {
				return nil
			}
			where := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
			return when(!ports.claim(where), duplicateAt(path.Child("hostPort"), where))
		})
	})
}

func (c *podCheck) resizePolicy(ctr *corev1.Container, path *place) field.ErrorList {
	seen := taken{}
	var errs field.ErrorList
	for i, p := range ctr.ResizePolicy {
		once := c.spec.RestartPolicy == corev1.RestartPolicyNever && p.RestartPolicy != corev1.NotRequired
		errs = join(errs,
			when(!seen.claim(string(p.ResourceName)), duplicateAt(path.Index(i), p.ResourceName)),
			presentOneOf(p.ResourceName, path, corev1.ResourceCPU, corev1.ResourceMemory),
			presentOneOf(p.RestartPolicy, path, corev1.NotRequired, corev1.RestartContainer),
			when(once, invalidAt(path, p.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")))
	}
	return errs
}

// restartRules validates a container's own restart policy, and its exceptions by exit code.
func restartRules(ctr *corev1.Container, path *place) field.ErrorList {
	rules := path.Child("restartPolicyRules")
	if ctr.RestartPolicy == nil {
		return when(len(ctr.RestartPolicyRules) > 0, requiredAt(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
	}
	return join(
		oneOf(*ctr.RestartPolicy, path.Child("restartPolicy"),
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure),
		when(len(ctr.RestartPolicyRules) > 20, tooManyAt(rules, len(ctr.RestartPolicyRules), 20)),
		each(ctr.RestartPolicyRules, rules, restartRule),
	)
}

func restartRule(r *corev1.ContainerRestartRule, path *place) field.ErrorList {
	errs := oneOf(r.Action, path.Child("action"),
		corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
	codes := path.Child("exitCodes")
	if r.ExitCodes == nil {
		return append(errs, requiredAt(codes, "must be specified"))
	}
	return join(errs,
		oneOf(r.ExitCodes.Operator, codes.Child("operator"),
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn),
		when(len(r.ExitCodes.Values) > 255, tooManyAt(codes.Child("values"), len(r.ExitCodes.Values), 255)))
}
