package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	skew          = time.Hour
)

// leaf is a certificate as it should be.
type leaf struct {
	name    string // of its files
	subject pkix.Name
	usage   x509.ExtKeyUsage
	dns     []string
	ips     []net.IP
}

// step is one certificate to issue, and why.
type step struct {
	leaf   leaf
	reason string
}

// wanted lists every leaf of a cluster. Names and groups are upstream's: its default roles are bound to them.
func wanted(o Options) []leaf {
	domain := "kubernetes.default.svc." + o.ClusterDomain
	dns := []string{"localhost", o.NodeName, "kubernetes", "kubernetes.default", "kubernetes.default.svc", domain}
	ips := append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, o.ServiceIP}, o.NodeIPs...)
	for _, s := range o.ExtraSANs {
		if ip := net.ParseIP(s); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, s)
		}
	}
	node := "system:node:" + o.NodeName
	return []leaf{
		{name: "apiserver", subject: subject("kube-apiserver"), usage: x509.ExtKeyUsageServerAuth, dns: dns, ips: ips},
		{name: "kubelet-server", subject: subject(node, "system:nodes"), usage: x509.ExtKeyUsageServerAuth,
			dns: []string{"localhost", o.NodeName}, ips: append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, o.NodeIPs...)},
		client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
		client("front-proxy-client", FrontProxy),
		client("admin", "kubernetes-admin", "system:masters"),
		client(Scheduler, "system:kube-scheduler"),
		client(ControllerManager, "system:kube-controller-manager"),
		client(Proxy, "system:kube-proxy"),
		client(Kubelet, node, "system:nodes"),
	}
}

func client(name, user string, groups ...string) leaf {
	return leaf{name: name, subject: subject(user, groups...), usage: x509.ExtKeyUsageClientAuth}
}

func subject(user string, groups ...string) pkix.Name {
	return pkix.Name{CommonName: user, Organization: groups}
}

// plan lists the leaves that must be issued anew.
func plan(ca *pair, have map[string]*pair, want []leaf, now time.Time) []step {
	var steps []step
	for _, l := range want {
		if reason := whyLeaf(ca, have[l.name], l, now); reason != "" {
			steps = append(steps, step{l, reason})
		}
	}
	return steps
}

// why says what is wrong with a certificate by itself, or "".
func why(p *pair, now time.Time) string {
	switch {
	case p.cert == nil && p.key == nil:
		return "made, there was none"
	case p.cert == nil:
		return "made, there was only its key"
	case p.key == nil:
		return "made anew, its key is missing"
	case !p.fits():
		return "made anew, certificate and key do not belong together"
	case now.Before(p.cert.NotBefore):
		return "made anew, it is not valid before " + day(p.cert.NotBefore)
	case now.After(p.cert.NotAfter):
		return "renewed, it expired on " + day(p.cert.NotAfter)
	case now.Add(renewBefore).After(p.cert.NotAfter):
		return "renewed, it expires on " + day(p.cert.NotAfter)
	}
	return ""
}

// whyLeaf says why l must be issued, or "".
func whyLeaf(ca, p *pair, l leaf, now time.Time) string {
	if reason := why(p, now); reason != "" {
		return reason
	}
	if p.cert.CheckSignatureFrom(ca.cert) != nil {
		return "made anew, it is of another authority"
	}
	if got := p.cert.Subject; got.CommonName != l.subject.CommonName || !sameSet(got.Organization, l.subject.Organization) {
		return fmt.Sprintf("made anew, it was for %s", got)
	}
	if !slices.Equal(p.cert.ExtKeyUsage, []x509.ExtKeyUsage{l.usage}) {
		return "made anew, it was for another use"
	}
	return difference(names(p.cert.DNSNames, p.cert.IPAddresses), names(l.dns, l.ips))
}

// difference says how the names and addresses of a certificate changed.
func difference(have, want []string) string {
	added := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
	gone := slices.DeleteFunc(slices.Clone(have), func(s string) bool { return slices.Contains(want, s) })
	var parts []string
	if len(added) > 0 {
		parts = append(parts, "now also "+strings.Join(added, ", "))
	}
	if len(gone) > 0 {
		parts = append(parts, "no longer "+strings.Join(gone, ", "))
	}
	if len(parts) == 0 {
		return ""
	}
	return "made anew, its addresses changed: " + strings.Join(parts, "; ")
}

// names returns DNS names and addresses as one sorted set.
func names(dns []string, ips []net.IP) []string {
	all := slices.Clone(dns)
	for _, ip := range ips {
		all = append(all, ip.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
