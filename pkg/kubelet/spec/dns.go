package spec

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The resolver of the C library reads no more than this.
const (
	maxNameservers = 3
	maxSearch      = 32
)

// DNS returns the pod's resolv.conf. fallback is true when the pod wants the cluster's DNS and there is none, so
// that it got the node's.
func (n *Node) DNS(pod *corev1.Pod) (dns *runtimev1.DNSConfig, fallback bool, err error) {
	policy := pod.Spec.DNSPolicy
	if policy == corev1.DNSClusterFirst && pod.Spec.HostNetwork {
		policy = corev1.DNSDefault
	}
	if policy == corev1.DNSClusterFirstWithHostNet || policy == "" {
		policy = corev1.DNSClusterFirst
	}
	host, err := readResolvConf(n.ResolvConf)
	if err != nil {
		return nil, false, err
	}
	switch {
	case policy == corev1.DNSNone:
		dns = &runtimev1.DNSConfig{}
	case policy == corev1.DNSClusterFirst && len(n.ClusterDNS) > 0:
		dns = n.clusterDNS(pod, host)
	default:
		dns, fallback = host, policy == corev1.DNSClusterFirst
	}
	if pod.Spec.DNSConfig != nil {
		addDNS(dns, pod.Spec.DNSConfig)
	}
	dns.Servers = dns.Servers[:min(len(dns.Servers), maxNameservers)]
	dns.Searches = dns.Searches[:min(len(dns.Searches), maxSearch)]
	return dns, fallback, nil
}

func (n *Node) clusterDNS(pod *corev1.Pod, host *runtimev1.DNSConfig) *runtimev1.DNSConfig {
	searches := host.Searches
	if n.Domain != "" {
		searches = append([]string{pod.Namespace + ".svc." + n.Domain, "svc." + n.Domain, n.Domain}, searches...)
	}
	return &runtimev1.DNSConfig{Servers: slices.Clone(n.ClusterDNS), Searches: unique(searches), Options: []string{"ndots:5"}}
}

// addDNS appends what the pod itself asks for; one of its options replaces one of the same name.
func addDNS(dns *runtimev1.DNSConfig, c *corev1.PodDNSConfig) {
	dns.Servers = unique(append(dns.Servers, c.Nameservers...))
	dns.Searches = unique(append(dns.Searches, c.Searches...))
	for _, o := range c.Options {
		dns.Options = slices.DeleteFunc(dns.Options, func(have string) bool {
			name, _, _ := strings.Cut(have, ":")
			return name == o.Name
		})
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		dns.Options = append(dns.Options, text)
	}
}

func unique(in []string) (out []string) {
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func readResolvConf(path string) (*runtimev1.DNSConfig, error) {
	dns := &runtimev1.DNSConfig{}
	if path == "" {
		return dns, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the node's resolver configuration: %w", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			dns.Servers = append(dns.Servers, fields[1])
		case "search":
			dns.Searches = fields[1:]
		case "options":
			dns.Options = append(dns.Options, fields[1:]...)
		}
	}
	return dns, nil
}
