package proxy

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// chain is a chain of a table.
type chain struct{ table, name string }

// The shared chains. All but mark and postrouting are sets of lines that services contribute.
var (
	natServices     = chain{"nat", "KUBE-SERVICES"}
	natNodePorts    = chain{"nat", "KUBE-NODEPORTS"}
	natMark         = chain{"nat", "KUBE-MARK-MASQ"}
	natPostrouting  = chain{"nat", "KUBE-POSTROUTING"}
	filterServices  = chain{"filter", "KUBE-SERVICES"}
	filterExternal  = chain{"filter", "KUBE-EXTERNAL-SERVICES"}
	filterForward   = chain{"filter", "KUBE-FORWARD"}
	canary          = chain{"mangle", "KUBE-PROXY-CANARY"}
	sharedSets      = []chain{natServices, natNodePorts, filterServices, filterExternal}
	perServiceNames = []string{"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-SEP-", "KUBE-FW-"}
)

// mark is the bit that says "masquerade this on its way out", upstream's.
const mark = "0x4000"

// part is what one service puts into the rules.
type part struct {
	own   map[chain][]string // chains of this service alone, in their whole
	lines map[chain][]string // lines in the shared chains
	// udp remembers where UDP flows may have gone, so that those to endpoints that are gone can be cut (see forgetUDP).
	udp map[udpFlow]bool
}

// udpFlow is a service address and an endpoint behind it.
type udpFlow struct{ service, endpoint string }

// plan says what rules svc needs. podCIDR tells traffic of pods from that of others; empty if unknown.
func plan(svc *v1.Service, from []*discoveryv1.EndpointSlice, node, podCIDR string) part {
	w := &writer{part: part{own: map[chain][]string{}, lines: map[chain][]string{}, udp: map[udpFlow]bool{}}, podCIDR: podCIDR}
	for _, p := range ports(svc, from, node) {
		w.port(&p)
	}
	return w.part
}

type writer struct {
	part
	podCIDR string
}

func (w *writer) own1(c, rule string) { w.own[chain{"nat", c}] = append(w.own[chain{"nat", c}], rule) }
func (w *writer) line(c chain, format string, args ...any) {
	w.lines[c] = append(w.lines[c], fmt.Sprintf(format, args...))
}

// port writes the rules of one service port.
func (w *writer) port(p *port) {
	svc, svl, ext := hashed("KUBE-SVC-", p), hashed("KUBE-SVL-", p), hashed("KUBE-EXT-", p)
	inside, insideEPs := svc, p.all
	if p.internalLocal {
		inside, insideEPs = svl, p.local
	}
	match := fmt.Sprintf("-m %[1]s -p %[1]s -d %[2]s/32 --dport %[3]d", p.protocol, p.clusterIP, p.port)
	if len(insideEPs) == 0 {
		w.line(filterServices, `-m comment --comment "%s has no endpoints" %s -j REJECT`, p.name, match)
	} else {
		w.line(natServices, `-m comment --comment "%s cluster IP" %s -j %s`, p.name, match, inside)
	}
	w.outside(p, ext, svc, svl)
	w.balance(p, svc, p.all)
	if p.internalLocal || p.externalLocal {
		w.balance(p, svl, p.local)
	}
	for _, e := range p.all {
		w.endpoint(p, e)
	}
	for _, e := range p.local {
		// One that is leaving may stand in on its own node, while other nodes have ready ones.
		if !slices.Contains(p.all, e) {
			w.endpoint(p, e)
		}
	}
}

// outside writes the ways in for what is not addressed to the cluster IP.
func (w *writer) outside(p *port, ext, svc, svl string) {
	if p.nodePort == 0 && len(p.external)+len(p.balancer) == 0 {
		return
	}
	if len(p.all) == 0 {
		w.noneOutside(p, "has no endpoints", "REJECT")
		return
	}
	if p.nodePort != 0 {
		w.line(natNodePorts, `-m comment --comment "%s" -m %s -p %s --dport %d -j %s`, p.name, p.protocol, p.protocol, p.nodePort, ext)
	}
	for _, ip := range p.external {
		w.line(natServices, `-m comment --comment "%s external IP" -m %s -p %s -d %s/32 --dport %d -j %s`, p.name, p.protocol, p.protocol, ip, p.port, ext)
	}
	w.balancers(p, ext)
	comment := fmt.Sprintf(`-m comment --comment "%s external traffic"`, p.name)
	if !p.externalLocal {
		// The answer must come back through this node, which alone knows the connection.
		w.own1(ext, comment+" -j KUBE-MARK-MASQ")
		w.own1(ext, "-j "+svc)
		return
	}
	// Local: pods and the node itself still reach every endpoint; others this node's only, with their address kept.
	if w.podCIDR != "" {
		w.own1(ext, fmt.Sprintf("%s -s %s -j %s", comment, w.podCIDR, svc))
	}
	w.own1(ext, comment+" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ")
	w.own1(ext, comment+" -m addrtype --src-type LOCAL -j "+svc)
	if len(p.local) > 0 {
		w.own1(ext, "-j "+svl)
	} else {
		w.noneOutside(p, "has no local endpoints", "DROP")
	}
}

func (w *writer) balancers(p *port, ext string) {
	target := ext
	if len(p.ranges) > 0 && len(p.balancer) > 0 {
		target = hashed("KUBE-FW-", p)
		for _, r := range p.ranges {
			w.own1(target, fmt.Sprintf("-s %s -j %s", r, ext))
		}
	}
	for _, ip := range p.balancer {
		match := fmt.Sprintf("-m %[1]s -p %[1]s -d %[2]s/32 --dport %[3]d", p.protocol, ip, p.port)
		w.line(natServices, `-m comment --comment "%s loadbalancer IP" %s -j %s`, p.name, match, target)
		if target != ext {
			// What no range let through was not translated, and still has the balancer's address.
			w.line(filterExternal, `-m comment --comment "%s source is not in loadBalancerSourceRanges" %s -j DROP`, p.name, match)
		}
	}
}

// noneOutside ends what came from outside and was not translated, because no endpoint may have it.
func (w *writer) noneOutside(p *port, why, verdict string) {
	if p.nodePort != 0 {
		w.line(filterExternal, `-m comment --comment "%s %s" -m addrtype --dst-type LOCAL -m %s -p %s --dport %d -j %s`,
			p.name, why, p.protocol, p.protocol, p.nodePort, verdict)
	}
	for _, ip := range append(append([]string(nil), p.external...), p.balancer...) {
		w.line(filterExternal, `-m comment --comment "%s %s" -m %s -p %s -d %s/32 --dport %d -j %s`,
			p.name, why, p.protocol, p.protocol, ip, p.port, verdict)
	}
}

// balance writes the chain that picks one of eps. The i-th of n rules takes 1/(n-i) of what reaches it, so that each
// endpoint gets 1/n.
func (w *writer) balance(p *port, name string, eps []endpoint) {
	if len(eps) == 0 {
		return
	}
	if w.podCIDR != "" {
		w.own1(name, fmt.Sprintf(`-m comment --comment "%[1]s cluster IP" -m %[2]s -p %[2]s ! -s %[3]s -d %[4]s/32 --dport %[5]d -j KUBE-MARK-MASQ`,
			p.name, p.protocol, w.podCIDR, p.clusterIP, p.port))
	}
	if p.affinitySeconds > 0 {
		for _, e := range eps {
			sep := endpointChain(p, e)
			w.own1(name, fmt.Sprintf(`-m comment --comment "%s -> %s" -m recent --name %s --rcheck --seconds %d --reap -j %s`,
				p.name, e.addr, sep, p.affinitySeconds, sep))
		}
	}
	for i, e := range eps {
		chance := ""
		if left := len(eps) - i; left > 1 {
			chance = fmt.Sprintf(" -m statistic --mode random --probability %.10f", 1/float64(left))
		}
		w.own1(name, fmt.Sprintf(`-m comment --comment "%s -> %s"%s -j %s`, p.name, e.addr, chance, endpointChain(p, e)))
	}
}

func (w *writer) endpoint(p *port, e endpoint) {
	sep := endpointChain(p, e)
	// A pod that reaches itself through its service must see another source than itself, or it would answer directly.
	w.own1(sep, fmt.Sprintf(`-m comment --comment "%s" -s %s/32 -j KUBE-MARK-MASQ`, p.name, e.ip))
	remember := ""
	if p.affinitySeconds > 0 {
		remember = fmt.Sprintf(" -m recent --name %s --set", sep)
	}
	w.own1(sep, fmt.Sprintf(`-m comment --comment "%s"%s -m %s -p %s -j DNAT --to-destination %s`, p.name, remember, p.protocol, p.protocol, e.addr))
	if p.protocol == "udp" {
		for _, ip := range append([]string{p.clusterIP}, p.external...) {
			w.udp[udpFlow{ip, e.ip}] = true
		}
		if p.nodePort != 0 {
			w.udp[udpFlow{fmt.Sprint(":", p.nodePort), e.ip}] = true
		}
	}
}

func endpointChain(p *port, e endpoint) string {
	return hashChain("KUBE-SEP-", p.name+p.protocol+e.addr)
}

func hashed(prefix string, p *port) string { return hashChain(prefix, p.name+p.protocol) }

// hashChain makes a name of at most 28 characters, the most that iptables takes, as upstream does.
func hashChain(prefix, of string) string {
	sum := sha256.Sum256([]byte(of))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:16]
}
