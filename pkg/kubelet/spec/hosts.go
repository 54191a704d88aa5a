package spec

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Hostname is the pod's own name for itself.
func (n *Node) Hostname(pod *corev1.Pod) (string, error) {
	if o := pod.Spec.HostnameOverride; o != nil {
		return *o, nil
	}
	host, fqdn := n.names(pod)
	if f := pod.Spec.SetHostnameAsFQDN; f != nil && *f && fqdn != "" {
		if len(fqdn) > 64 {
			return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (64 characters is the max, %d characters requested)", fqdn, len(fqdn))
		}
		return fqdn, nil
	}
	return host, nil
}

// names returns the pod's short name and, if it has a subdomain, its full one.
func (n *Node) names(pod *corev1.Pod) (host, fqdn string) {
	host = pod.Name
	if pod.Spec.Hostname != "" {
		host = pod.Spec.Hostname
	} else if len(host) > 63 {
		host = strings.TrimRight(host[:63], "-.")
	}
	if pod.Spec.Subdomain != "" {
		fqdn = fmt.Sprintf("%s.%s.%s.svc.%s", host, pod.Spec.Subdomain, pod.Namespace, n.Domain)
	}
	return host, fqdn
}

const ownHosts = "# Kubernetes-managed hosts file.\n" +
	"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
	"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"

// Hosts is the content of the pod's /etc/hosts. A pod on the node's network sees the node's, with its aliases.
func (n *Node) Hosts(pod *corev1.Pod, ips []string) ([]byte, error) {
	var out bytes.Buffer
	if pod.Spec.HostNetwork {
		host, err := os.ReadFile("/etc/hosts")
		if err != nil {
			return nil, err
		}
		out.WriteString("# Kubernetes-managed hosts file (host network).\n")
		out.Write(host)
	} else {
		out.WriteString(ownHosts)
		host, fqdn := n.names(pod)
		if fqdn != "" {
			host = fqdn + "\t" + host
		}
		for _, ip := range ips {
			fmt.Fprintf(&out, "%s\t%s\n", ip, host)
		}
	}
	if len(pod.Spec.HostAliases) > 0 {
		out.WriteString("\n# Entries added by HostAliases.\n")
		for _, a := range pod.Spec.HostAliases {
			fmt.Fprintf(&out, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, "\t"))
		}
	}
	return out.Bytes(), nil
}
