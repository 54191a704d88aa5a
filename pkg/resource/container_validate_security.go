package resource

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/node/util/sysctl"
)

func (c *podCheck) securityContext(s *corev1.SecurityContext, path *place) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := join(userID(s.RunAsUser, path.Child("runAsUser")), groupID(s.RunAsGroup, path.Child("runAsGroup")))
	if m := s.ProcMount; m != nil {
		at := path.Child("procMount")
		errs = join(errs, oneOf(*m, at, corev1.DefaultProcMount, corev1.UnmaskedProcMount),
			when(c.hostUsers && *m == corev1.UnmaskedProcMount, invalidAt(at, m, "`hostUsers` must be false to use `Unmasked`")))
	}
	return join(errs,
		given(s.SeccompProfile, path.Child("seccompProfile"), seccompProfile),
		escalation(s, path),
		given(s.WindowsOptions, path.Child("windowsOptions"), windowsOptions),
		given(s.AppArmorProfile, path.Child("appArmorProfile"), appArmorProfile))
}

// escalation finds a context that forbids to gain privileges and grants them at once.
func escalation(s *corev1.SecurityContext, path *place) field.ErrorList {
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		return nil
	}
	errs := when(isTrue(s.Privileged), invalidGoAt(path, s, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	if s.Capabilities != nil {
		for _, added := range s.Capabilities.Add {
			errs = append(errs, when(added == "CAP_SYS_ADMIN", invalidGoAt(path, s, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))...)
		}
	}
	return errs
}

func userID(id *int64, path *place) field.ErrorList {
	return given(id, path, func(id *int64, path *place) field.ErrorList {
		return invalid(path, *id, validation.IsValidUserID(*id))
	})
}

func groupID(id *int64, path *place) field.ErrorList {
	return given(id, path, func(id *int64, path *place) field.ErrorList {
		return invalid(path, *id, validation.IsValidGroupID(*id))
	})
}

func (c *podCheck) validatePodSecurityContext(s *corev1.PodSecurityContext, path *place) field.ErrorList {
	share := isTrue(c.spec.ShareProcessNamespace) && c.spec.HostPID
	errs := join(
		groupID(s.FSGroup, path.Child("fsGroup")),
		userID(s.RunAsUser, path.Child("runAsUser")),
		groupID(s.RunAsGroup, path.Child("runAsGroup")),
		each(s.SupplementalGroups, path.Child("supplementalGroups"), groupID),
		when(share, invalidAt(path.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled")),
		c.sysctls(s.Sysctls, path.Child("sysctls")))
	if p := s.FSGroupChangePolicy; p != nil {
		errs = append(errs, oneOf(*p, path.Child("fsGroupChangePolicy"), corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	errs = join(errs,
		given(s.SeccompProfile, path.Child("seccompProfile"), seccompProfile),
		given(s.WindowsOptions, path.Child("windowsOptions"), windowsOptions),
		given(s.AppArmorProfile, path.Child("appArmorProfile"), appArmorProfile))
	if p := s.SupplementalGroupsPolicy; p != nil {
		errs = append(errs, oneOf(*p, path.Child("supplementalGroupsPolicy"), corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	}
	if p := s.SELinuxChangePolicy; p != nil {
		errs = append(errs, oneOf(*p, path.Child("seLinuxChangePolicy"), corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)...)
	}
	return errs
}

var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

// sysctls of a kernel namespace that the pod shares with the host would change the host.
func (c *podCheck) sysctls(list []corev1.Sysctl, path *place) field.ErrorList {
	names := taken{}
	return each(list, path, func(s *corev1.Sysctl, path *place) field.ErrorList {
		at := path.Child("name")
		var errs field.ErrorList
		switch {
		case s.Name == "":
			errs = append(errs, requiredAt(at, ""))
		case len(s.Name) > 253 || !sysctlName.MatchString(s.Name):
			errs = append(errs, invalidAt(at, s.Name, fmt.Sprintf("must have at most 253 characters and match regex %s", sysctlName)))
		case names[s.Name]:
			errs = append(errs, duplicateAt(at, s.Name))
		}
		names.claim(s.Name)
		namespace, _, _ := sysctl.GetNamespace(s.Name)
		return join(errs,
			when(c.spec.HostNetwork && namespace == sysctl.NetNamespace, invalidAt(at, s.Name, "may not be specified when 'hostNetwork' is true")),
			when(c.spec.HostIPC && namespace == sysctl.IPCNamespace, invalidAt(at, s.Name, "may not be specified when 'hostIPC' is true")))
	})
}

func seccompProfile(p *corev1.SeccompProfile, path *place) field.ErrorList {
	at, local := path.Child("type"), path.Child("localhostProfile")
	errs := when(p.Type == "", requiredAt(at, "type is required when seccompProfile is set"))
	if p.Type != "" {
		errs = oneOf(p.Type, at, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	switch {
	case p.Type != corev1.SeccompProfileTypeLocalhost:
		return append(errs, when(p.LocalhostProfile != nil, invalidGoAt(local, p, "can only be set when seccomp type is Localhost"))...)
	case p.LocalhostProfile == nil:
		return append(errs, requiredAt(local, "must be set when seccomp type is Localhost"))
	}
	return append(errs, descendingPath(*p.LocalhostProfile, local)...)
}

func appArmorProfile(p *corev1.AppArmorProfile, path *place) field.ErrorList {
	const missing = "must be set when AppArmor type is Localhost"
	local := path.Child("localhostProfile")
	switch p.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		if p.LocalhostProfile == nil {
			return field.ErrorList{requiredAt(local, missing)}
		}
		name := *p.LocalhostProfile
		padded := strings.TrimSpace(name) != name
		return join(
			when(padded, invalidAt(local, name, "must not be padded with whitespace")),
			when(name == "", requiredAt(local, missing)),
			when(len(name) > 4095, tooLongAt(local, "", 4095)))
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		return when(p.LocalhostProfile != nil, invalidAt(local, p.LocalhostProfile, "can only be set when AppArmor type is Localhost"))
	case "":
		return field.ErrorList{requiredAt(path.Child("type"), "type is required when appArmorProfile is set")}
	}
	return oneOf(p.Type, path.Child("type"),
		corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
}

const maxCredentialSpec = 64 * 1024

func windowsOptions(w *corev1.WindowsSecurityContextOptions, path *place) field.ErrorList {
	var errs field.ErrorList
	if n := w.GMSACredentialSpecName; n != nil {
		errs = invalid(path.Child("gmsaCredentialSpecName"), n, validation.IsDNS1123Subdomain(*n))
	}
	if s := w.GMSACredentialSpec; s != nil {
		at := path.Child("gmsaCredentialSpec")
		errs = join(errs,
			when(*s == "", invalidAt(at, s, "gmsaCredentialSpec cannot be an empty string")),
			when(len(*s) > maxCredentialSpec, invalidAt(at, s, "gmsaCredentialSpec size must be under 64 KiB")))
	}
	if u := w.RunAsUserName; u != nil {
		for _, problem := range windowsUser(*u) {
			errs = append(errs, invalidAt(path.Child("runAsUserName"), u, problem))
		}
	}
	return errs
}

var (
	controlChars   = regexp.MustCompile(`[[:cntrl:]]`)
	netBIOSDomain  = regexp.MustCompile(`^[^\\/:\*\?"<>|\.][^\\/:\*\?"<>|]{0,14}$`)
	dnsDomain      = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
	onlyDotsSpaces = regexp.MustCompile(`^[\. ]+$`)
	notInUserNames = regexp.MustCompile(`["/\\:;|=,\+\*\?<>@\[\]]`)
)

// windowsUser says what is wrong with a user name of the form DOMAIN\USER or USER.
func windowsUser(name string) []string {
	switch {
	case name == "":
		return []string{"runAsUserName cannot be an empty string"}
	case controlChars.MatchString(name):
		return []string{"runAsUserName cannot contain control characters"}
	case strings.Count(name, `\`) > 1:
		return []string{"runAsUserName cannot contain more than one backslash"}
	}
	var problems []string
	is := func(bad bool, problem string) {
		if bad {
			problems = append(problems, problem)
		}
	}
	user := name
	if domain, rest, ok := strings.Cut(name, `\`); ok {
		user = rest
		is(len(domain) >= 256, "runAsUserName's Domain length must be under 256 characters")
		is(!netBIOSDomain.MatchString(domain) && !dnsDomain.MatchString(domain), "runAsUserName's Domain doesn't match the NetBios nor the DNS format")
	}
	is(user == "", "runAsUserName's User cannot be empty")
	is(len(user) > 104, "runAsUserName's User length must not be longer than 104 characters")
	is(onlyDotsSpaces.MatchString(user), "runAsUserName's User cannot contain only periods or spaces")
	is(notInUserNames.MatchString(user), `runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]`)
	return problems
}
