package spec

import (
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// What a container may not see or not write below /proc and /sys, unless procMount or privileged says otherwise.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// SeccompDir is where Localhost profiles are, below the kubelet's root.
const SeccompDir = "seccomp"

// security merges the pod's context and the container's, which wins, with what the image says of its user.
func security(r Run) (*runtimev1.LinuxContainerSecurityContext, error) {
	sc, psc := r.Container.SecurityContext, r.Pod.Spec.SecurityContext
	if sc == nil {
		sc = &corev1.SecurityContext{}
	}
	if psc == nil {
		psc = &corev1.PodSecurityContext{}
	}
	out := &runtimev1.LinuxContainerSecurityContext{
		Privileged:       privileged(r.Container),
		ReadonlyRootfs:   sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem,
		NoNewPrivs:       sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		NamespaceOptions: namespaces(r.Pod),
		SelinuxOptions:   selinux(first(sc.SELinuxOptions, psc.SELinuxOptions)),
		Seccomp:          seccomp(first(sc.SeccompProfile, psc.SeccompProfile)),
		Apparmor:         apparmor(first(sc.AppArmorProfile, psc.AppArmorProfile)),
		Capabilities:     capabilities(sc.Capabilities),
	}
	out.SupplementalGroups, out.SupplementalGroupsPolicy = groups(psc)
	if r.TargetID != "" {
		out.NamespaceOptions.Pid, out.NamespaceOptions.TargetId = runtimev1.NamespaceMode_TARGET, r.TargetID
	}
	if pm := sc.ProcMount; (pm == nil || *pm == corev1.DefaultProcMount) && !out.Privileged {
		out.MaskedPaths, out.ReadonlyPaths = maskedPaths, readonlyPaths
	}
	setUser(out, first(sc.RunAsUser, psc.RunAsUser), first(sc.RunAsGroup, psc.RunAsGroup), r.Image)
	if must := first(sc.RunAsNonRoot, psc.RunAsNonRoot); must != nil && *must {
		if err := nonRoot(out, first(sc.RunAsUser, psc.RunAsUser) != nil, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// first returns a, or b if a is not set.
func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func setUser(out *runtimev1.LinuxContainerSecurityContext, uid, gid *int64, image *runtimev1.Image) {
	switch {
	case uid != nil:
		out.RunAsUser = &runtimev1.Int64Value{Value: *uid}
	case image.GetUid() != nil:
		out.RunAsUser = &runtimev1.Int64Value{Value: image.Uid.Value}
	default:
		out.RunAsUsername = image.GetUsername()
	}
	if gid != nil {
		out.RunAsGroup = &runtimev1.Int64Value{Value: *gid}
	}
}

// nonRoot refuses a container that would run as root, or might.
func nonRoot(sc *runtimev1.LinuxContainerSecurityContext, asked bool, r Run) error {
	where := fmt.Sprintf("(pod: %q, container: %s)", fmt.Sprintf("%s_%s(%s)", r.Pod.Name, r.Pod.Namespace, r.Pod.UID), r.Container.Name)
	switch {
	case asked && sc.RunAsUser.Value == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
	case sc.RunAsUser != nil && sc.RunAsUser.Value == 0, sc.RunAsUser == nil && sc.RunAsUsername == "":
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	case sc.RunAsUser == nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", sc.RunAsUsername, where)
	}
	return nil
}

func capabilities(c *corev1.Capabilities) *runtimev1.Capability {
	if c == nil {
		return nil
	}
	out := &runtimev1.Capability{}
	for _, a := range c.Add {
		out.AddCapabilities = append(out.AddCapabilities, string(a))
	}
	for _, d := range c.Drop {
		out.DropCapabilities = append(out.DropCapabilities, string(d))
	}
	return out
}

func seccomp(p *corev1.SeccompProfile) *runtimev1.SecurityProfile {
	out := &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_Unconfined}
	if p == nil {
		return out
	}
	switch p.Type {
	case corev1.SeccompProfileTypeRuntimeDefault:
		out.ProfileType = runtimev1.SecurityProfile_RuntimeDefault
	case corev1.SeccompProfileTypeLocalhost:
		out.ProfileType = runtimev1.SecurityProfile_Localhost
		if p.LocalhostProfile != nil {
			out.LocalhostRef = *p.LocalhostProfile
		}
	}
	return out
}

func apparmor(p *corev1.AppArmorProfile) *runtimev1.SecurityProfile {
	if p == nil {
		return nil
	}
	switch p.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		return &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_Unconfined}
	case corev1.AppArmorProfileTypeLocalhost:
		ref := ""
		if p.LocalhostProfile != nil {
			ref = *p.LocalhostProfile
		}
		return &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_Localhost, LocalhostRef: ref}
	}
	return &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault}
}

// localhost gives a seccomp profile named by the pod its place on this node.
func (n *Node) localhost(p *runtimev1.SecurityProfile) {
	if p != nil && p.ProfileType == runtimev1.SecurityProfile_Localhost {
		p.LocalhostRef = filepath.Join(n.RootDir, SeccompDir, p.LocalhostRef)
	}
}
