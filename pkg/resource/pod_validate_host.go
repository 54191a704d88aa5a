package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a pod says of its names, its name servers, and what it shares with the host.

// The limits that the C library's resolver has.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

func (c *podCheck) dns(path *place) field.ErrorList {
	d := c.spec.DNSConfig
	if c.spec.DNSPolicy == corev1.DNSNone {
		if d == nil {
			return field.ErrorList{requiredAt(path, "must provide `dnsConfig` when `dnsPolicy` is None")}
		}
		if len(d.Nameservers) == 0 {
			return field.ErrorList{requiredAt(path.Child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None")}
		}
	}
	if d == nil {
		return nil
	}
	servers, searches := path.Child("nameservers"), path.Child("searches")
	return join(
		when(len(d.Nameservers) > maxNameservers, invalidAt(servers, d.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers))),
		each(d.Nameservers, servers, func(ip *string, path *place) field.ErrorList { return strictIP(*ip, path) }),
		when(len(d.Searches) > maxSearches, invalidAt(searches, d.Searches, fmt.Sprintf("must not have more than %v search paths", maxSearches))),
		when(len(strings.Join(d.Searches, " ")) > maxSearchChars, invalidAt(searches, d.Searches,
			fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchChars))),
		each(d.Searches, searches, searchDomain),
		each(d.Options, path.Child("options"), func(o *corev1.PodDNSConfigOption, path *place) field.ErrorList {
			return when(o.Name == "", requiredAt(path, "must not be empty"))
		}))
}

// searchDomain may end with a dot, or be one.
func searchDomain(s *string, path *place) field.ErrorList {
	if *s == "." {
		return nil
	}
	name := strings.TrimSuffix(*s, ".")
	return invalid(path, name, validation.IsDNS1123SubdomainWithUnderscore(name))
}

func hostAlias(h *corev1.HostAlias, path *place) field.ErrorList {
	return append(strictIP(h.IP, path.Child("ip")), each(h.Hostnames, path.Child("hostnames"), func(n *string, path *place) field.ErrorList {
		return dnsSubdomain(*n, path)
	})...)
}

func (c *podCheck) hostnameOverride(name *string, path *place) field.ErrorList {
	return join(
		when(len(*name) > 64, tooLongAt(path, "", 64)),
		dnsSubdomain(*name, path),
		when(isTrue(c.spec.SetHostnameAsFQDN), forbiddenAt(path, "may not be specified when setHostnameAsFQDN is true")),
		when(c.spec.HostNetwork, forbiddenAt(path, "may not be specified when hostNetwork is true")))
}

// hostPorts: on the host's network a container's port is the host's. A template may leave the host's to defaulting.
func (c *podCheck) hostPorts(path *place) field.ErrorList {
	if !c.spec.HostNetwork {
		return nil
	}
	return each(c.spec.Containers, path.Child("containers"), func(ctr *corev1.Container, path *place) field.ErrorList {
		return each(ctr.Ports, path.Child("ports"), func(p *corev1.ContainerPort, path *place) field.ErrorList {
			differs := p.HostPort != p.ContainerPort && (c.isPod || p.HostPort != 0)
			return when(differs, invalidAt(path.Child("hostPort"), p.HostPort, "must match `containerPort` when `hostNetwork` is true"))
		})
	})
}

// ownUsers: a pod with a user namespace of its own has no rights in the namespaces of the host.
func (c *podCheck) ownUsers(path *place) field.ErrorList {
	if c.hostUsers {
		return nil
	}
	const detail = "when `hostUsers` is false"
	errs := join(
		when(c.spec.HostNetwork, forbiddenAt(path.Child("hostNetwork"), detail)),
		when(c.spec.HostPID, forbiddenAt(path.Child("HostPID"), detail)),
		when(c.spec.HostIPC, forbiddenAt(path.Child("HostIPC"), detail)))
	eachContainerAt(c.spec, path, func(ctr *corev1.Container, path *place) {
		errs = append(errs, when(len(ctr.VolumeDevices) > 0, forbiddenAt(path.Child("volumeDevices"), detail))...)
	})
	return errs
}

func (c *podCheck) os(path *place) field.ErrorList {
	name, at := c.spec.OS.Name, path.Child("os")
	switch name {
	case corev1.Linux:
		return c.linux(path)
	case corev1.Windows:
		return c.windows(path)
	case "":
		return field.ErrorList{requiredAt(at.Child("name"), "cannot be empty")}
	}
	return oneOf(name, at, corev1.Linux, corev1.Windows)
}

func (c *podCheck) linux(path *place) field.ErrorList {
	const detail = "windows options cannot be set for a linux pod"
	var errs field.ErrorList
	if s := c.spec.SecurityContext; s != nil {
		errs = when(s.WindowsOptions != nil, forbiddenAt(path.Child("securityContext", "windowsOptions"), detail))
	}
	eachContainerAt(c.spec, path, func(ctr *corev1.Container, path *place) {
		if s := ctr.SecurityContext; s != nil {
			errs = append(errs, when(s.WindowsOptions != nil, forbiddenAt(path.Child("securityContext", "windowsOptions"), detail))...)
		}
	})
	return errs
}

const notOnWindows = "cannot be set for a windows pod"

// windows refuses what only Linux has. What Windows has of a security context are its own options and runAsNonRoot.
func (c *podCheck) windows(path *place) field.ErrorList {
	s := c.spec
	errs := join(
		when(s.HostUsers != nil, forbiddenAt(path.Child("hostUsers"), notOnWindows)),
		when(s.HostPID, forbiddenAt(path.Child("hostPID"), notOnWindows)),
		when(s.HostIPC, forbiddenAt(path.Child("hostIPC"), notOnWindows)),
		when(s.ShareProcessNamespace != nil, forbiddenAt(path.Child("shareProcessNamespace"), notOnWindows)))
	if sc := s.SecurityContext; sc != nil {
		errs = append(errs, onlyFields(*sc, notOnWindows, path.Child("securityContext"), "WindowsOptions", "RunAsNonRoot")...)
	}
	eachContainerAt(s, path, func(ctr *corev1.Container, path *place) {
		if sc := ctr.SecurityContext; sc != nil {
			errs = append(errs, onlyFields(*sc, notOnWindows, path.Child("securityContext"), "WindowsOptions", "RunAsNonRoot")...)
		}
	})
	return errs
}

// hostProcess: where one container of a Windows pod is a process of the host, all are.
func (c *podCheck) hostProcess(path *place) field.ErrorList {
	var ofPod *bool
	if s := c.spec.SecurityContext; s != nil && s.WindowsOptions != nil {
		ofPod = s.WindowsOptions.HostProcess
	}
	total, hosted := 0, 0
	var errs field.ErrorList
	eachContainerAt(c.spec, path, func(ctr *corev1.Container, path *place) {
		own := ofPod
		if s := ctr.SecurityContext; s != nil && s.WindowsOptions != nil && s.WindowsOptions.HostProcess != nil {
			own = s.WindowsOptions.HostProcess
			if ofPod != nil && *ofPod != *own {
				errs = append(errs, invalidAt(path.Child("securityContext", "windowsOptions", "hostProcess"), *own,
					fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *ofPod)))
			}
		}
		total++
		if isTrue(own) {
			hosted++
		}
	})
	if hosted == 0 {
		return errs
	}
	return join(errs,
		when(hosted != total, invalidAt(path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers")),
		when(!c.spec.HostNetwork, invalidAt(path.Child("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers")))
}

// eachContainerAt calls f for the containers of all three lists, with their paths.
func eachContainerAt(s *corev1.PodSpec, path *place, f func(*corev1.Container, *place)) {
	for i := range s.InitContainers {
		f(&s.InitContainers[i], path.Child("initContainers").Index(i))
	}
	for i := range s.Containers {
		f(&s.Containers[i], path.Child("containers").Index(i))
	}
	for i := range s.EphemeralContainers {
		f((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon), path.Child("ephemeralContainers").Index(i))
	}
}
