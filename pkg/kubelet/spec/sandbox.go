package spec

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cri"
)

// Sandbox returns the configuration of the pod's sandbox.
func (n *Node) Sandbox(pod *corev1.Pod, attempt uint32) (*runtimev1.PodSandboxConfig, error) {
	if pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers {
		return nil, fmt.Errorf("the pod asks for a user namespace (hostUsers: false), which this node does not offer")
	}
	dns, _, err := n.DNS(pod)
	if err != nil {
		return nil, err
	}
	hostname := ""
	if !pod.Spec.HostNetwork {
		if hostname, err = n.Hostname(pod); err != nil {
			return nil, err
		}
	}
	return &runtimev1.PodSandboxConfig{
		Metadata:     &runtimev1.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: attempt},
		Hostname:     hostname,
		LogDirectory: n.LogDir(pod),
		DnsConfig:    dns,
		PortMappings: portMappings(pod),
		Labels:       labels(pod, pod.Labels),
		Annotations:  pod.Annotations,
		Linux: &runtimev1.LinuxPodSandboxConfig{
			CgroupParent:    n.CgroupParent(pod),
			SecurityContext: sandboxSecurity(pod),
			Sysctls:         sysctls(pod),
			Resources:       n.podResources(pod),
		},
	}, nil
}

// labels are the identity of what belongs to a pod, over the extra ones.
func labels(pod *corev1.Pod, extra map[string]string) map[string]string {
	out := map[string]string{
		cri.LabelPodName: pod.Name, cri.LabelPodNamespace: pod.Namespace, cri.LabelPodUID: string(pod.UID),
	}
	for k, v := range extra {
		if _, taken := out[k]; !taken {
			out[k] = v
		}
	}
	return out
}

func portMappings(pod *corev1.Pod) (out []*runtimev1.PortMapping) {
	if pod.Spec.HostNetwork {
		return nil
	}
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			out = append(out, &runtimev1.PortMapping{
				Protocol: protocols[p.Protocol], ContainerPort: p.ContainerPort, HostPort: p.HostPort, HostIp: p.HostIP,
			})
		}
	}
	return out
}

var protocols = map[corev1.Protocol]runtimev1.Protocol{
	corev1.ProtocolTCP: runtimev1.Protocol_TCP, corev1.ProtocolUDP: runtimev1.Protocol_UDP, corev1.ProtocolSCTP: runtimev1.Protocol_SCTP,
}

func sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[s.Name] = s.Value
	}
	return out
}

// sandboxSecurity is the context of the container that keeps the sandbox.
func sandboxSecurity(pod *corev1.Pod) *runtimev1.LinuxSandboxSecurityContext {
	out := &runtimev1.LinuxSandboxSecurityContext{
		NamespaceOptions: namespaces(pod),
		Privileged:       anyPrivileged(pod),
		Seccomp:          &runtimev1.SecurityProfile{ProfileType: runtimev1.SecurityProfile_RuntimeDefault},
	}
	sc := pod.Spec.SecurityContext
	if sc == nil {
		return out
	}
	if sc.RunAsUser != nil {
		out.RunAsUser = &runtimev1.Int64Value{Value: *sc.RunAsUser}
	}
	if sc.RunAsGroup != nil {
		out.RunAsGroup = &runtimev1.Int64Value{Value: *sc.RunAsGroup}
	}
	out.SupplementalGroups, out.SupplementalGroupsPolicy = groups(sc)
	out.SelinuxOptions = selinux(sc.SELinuxOptions)
	return out
}

func anyPrivileged(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if privileged(&list[i]) {
				return true
			}
		}
	}
	return false
}

func privileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

func groups(sc *corev1.PodSecurityContext) ([]int64, runtimev1.SupplementalGroupsPolicy) {
	out := append([]int64(nil), sc.SupplementalGroups...)
	if sc.FSGroup != nil {
		out = append(out, *sc.FSGroup)
	}
	if p := sc.SupplementalGroupsPolicy; p != nil && *p == corev1.SupplementalGroupsPolicyStrict {
		return out, runtimev1.SupplementalGroupsPolicy_Strict
	}
	return out, runtimev1.SupplementalGroupsPolicy_Merge
}

func selinux(o *corev1.SELinuxOptions) *runtimev1.SELinuxOption {
	if o == nil {
		return nil
	}
	return &runtimev1.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

func namespaces(pod *corev1.Pod) *runtimev1.NamespaceOption {
	out := &runtimev1.NamespaceOption{
		Network: runtimev1.NamespaceMode_POD, Ipc: runtimev1.NamespaceMode_POD, Pid: runtimev1.NamespaceMode_CONTAINER,
	}
	if pod.Spec.HostNetwork {
		out.Network = runtimev1.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		out.Ipc = runtimev1.NamespaceMode_NODE
	}
	if s := pod.Spec.ShareProcessNamespace; s != nil && *s {
		out.Pid = runtimev1.NamespaceMode_POD
	}
	if pod.Spec.HostPID {
		out.Pid = runtimev1.NamespaceMode_NODE
	}
	return out
}
