package resource

import (
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

func networkPolicies() *Row {
	return Row{
		Resource: "networkpolicies", Singular: "networkpolicy", Kind: "NetworkPolicy",
		ShortNames: []string{"netpol"},
		Namespaced: true,
		Versions:   []Version{servedAs[networkingv1.NetworkPolicy, networkingv1.NetworkPolicyList](networkingv1.SchemeGroupVersion)},
		Prefix:     "networkpolicies",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Pod-Selector", networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"]), ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*networkingv1.NetworkPolicy]{
		Default:       defaultNetworkPolicy,
		PrepareCreate: func(p *networkingv1.NetworkPolicy) { p.Generation = 1 },
		PrepareUpdate: func(next, old *networkingv1.NetworkPolicy) {
			raiseGeneration(next, old, !reflect.DeepEqual(next.Spec, old.Spec))
		},
		Validate: func(p *networkingv1.NetworkPolicy) field.ErrorList {
			return append(validateMeta(p, true, subdomainName), policyCheck{}.spec(&p.Spec, atSpec)...)
		},
		ValidateUpdate: func(next, old *networkingv1.NetworkPolicy) field.ErrorList {
			return append(validateMetaUpdate(next, old), policyCheck{had: blocksOf(old)}.spec(&next.Spec, atSpec)...)
		},
		Warnings: networkPolicyWarnings,
		Cells: func(p *networkingv1.NetworkPolicy, now time.Time) []any {
			return []any{p.Name, metav1.FormatLabelSelector(&p.Spec.PodSelector), age(p, now)}
		},
	}))
}

// defaultNetworkPolicy makes a policy be about what comes in, and, if it has rules for it, about what goes out.
func defaultNetworkPolicy(p *networkingv1.NetworkPolicy) {
	ports := func(list []networkingv1.NetworkPolicyPort) {
		for i := range list {
			orPtr(&list[i].Protocol, corev1.ProtocolTCP)
		}
	}
	for i := range p.Spec.Ingress {
		ports(p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		ports(p.Spec.Egress[i].Ports)
	}
	if len(p.Spec.PolicyTypes) > 0 {
		return
	}
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(p.Spec.Egress) > 0 {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

// peers calls f for each peer of the policy, with its place.
func peers(p *networkingv1.NetworkPolicy, f func(*networkingv1.NetworkPolicyPeer, *place)) {
	for i := range p.Spec.Ingress {
		for j := range p.Spec.Ingress[i].From {
			f(&p.Spec.Ingress[i].From[j], atSpec.Child("ingress").Index(i).Child("from").Index(j))
		}
	}
	for i := range p.Spec.Egress {
		for j := range p.Spec.Egress[i].To {
			f(&p.Spec.Egress[i].To[j], atSpec.Child("egress").Index(i).Child("to").Index(j))
		}
	}
}

// blocksOf are all address ranges in the policy.
func blocksOf(p *networkingv1.NetworkPolicy) []string {
	var all []string
	peers(p, func(peer *networkingv1.NetworkPolicyPeer, _ *place) {
		if b := peer.IPBlock; b != nil {
			all = append(append(all, b.CIDR), b.Except...)
		}
	})
	return all
}

// networkPolicyWarnings tell of address ranges that are written in an odd way.
func networkPolicyWarnings(next, _ *networkingv1.NetworkPolicy) []string {
	var all []string
	peers(next, func(peer *networkingv1.NetworkPolicyPeer, path *place) {
		b, path := peer.IPBlock, path.Child("ipBlock")
		if b == nil {
			return
		}
		all = append(all, validation.GetWarningsForCIDR(path.Child("cidr").path(), b.CIDR)...)
		for i, e := range b.Except {
			all = append(all, validation.GetWarningsForCIDR(path.Child("except").Index(i).path(), e)...)
		}
	})
	return all
}

// policyCheck validates a policy. had are the address ranges that were in it before there were rules for how to write them.
type policyCheck struct{ had []string }

func (c policyCheck) spec(s *networkingv1.NetworkPolicySpec, path *place) field.ErrorList {
	types := path.Child("policyTypes")
	errs := join(
		validSelector(&s.PodSelector, path.Child("podSelector")),
		each(s.Ingress, path.Child("ingress"), func(r *networkingv1.NetworkPolicyIngressRule, path *place) field.ErrorList {
			return append(each(r.Ports, path.Child("ports"), policyPort), each(r.From, path.Child("from"), c.peer)...)
		}),
		each(s.Egress, path.Child("egress"), func(r *networkingv1.NetworkPolicyEgressRule, path *place) field.ErrorList {
			return append(each(r.Ports, path.Child("ports"), policyPort), each(r.To, path.Child("to"), c.peer)...)
		}),
	)
	if len(s.PolicyTypes) > 2 {
		return append(errs, invalidAt(types, s.PolicyTypes, "may not specify more than two policyTypes"))
	}
	return append(errs, each(s.PolicyTypes, types, func(t *networkingv1.PolicyType, path *place) field.ErrorList {
		return oneOf(*t, path, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
	})...)
}

// policyPort validates a port, or with endPort a range of them.
func policyPort(p *networkingv1.NetworkPolicyPort, path *place) field.ErrorList {
	var errs field.ErrorList
	if p.Protocol != nil {
		errs = oneOf(*p.Protocol, path.Child("protocol"), corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	}
	port, end := path.Child("port"), path.Child("endPort")
	switch {
	case p.Port == nil:
		if p.EndPort != nil {
			errs = append(errs, invalidAt(end, *p.EndPort, "may not be specified when `port` is not specified"))
		}
	case p.Port.Type == intstr.String:
		if p.EndPort != nil {
			errs = append(errs, invalidAt(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		}
		errs = append(errs, invalid(port, p.Port.StrVal, validation.IsValidPortName(p.Port.StrVal))...)
	default:
		n := p.Port.IntVal
		errs = append(errs, invalid(port, n, validation.IsValidPortNum(int(n)))...)
		if p.EndPort != nil {
			errs = join(errs,
				when(*p.EndPort < n, invalidAt(end, *p.EndPort, "must be greater than or equal to `port`")),
				invalid(end, *p.EndPort, validation.IsValidPortNum(int(*p.EndPort))))
		}
	}
	return errs
}

// peer wants a selector of pods, one of namespaces, both, or a range of addresses.
func (c policyCheck) peer(p *networkingv1.NetworkPolicyPeer, path *place) field.ErrorList {
	selects := p.PodSelector != nil || p.NamespaceSelector != nil
	return join(
		given(p.PodSelector, path.Child("podSelector"), validSelector),
		given(p.NamespaceSelector, path.Child("namespaceSelector"), validSelector),
		given(p.IPBlock, path.Child("ipBlock"), c.block),
		when(!selects && p.IPBlock == nil, requiredAt(path, "must specify a peer")),
		when(selects && p.IPBlock != nil, forbiddenAt(path, "may not specify both ipBlock and another peer")),
	)
}

func (c policyCheck) block(b *networkingv1.IPBlock, path *place) field.ErrorList {
	at := path.Child("cidr")
	if b.CIDR == "" {
		return declared(field.ErrorList{requiredAt(at, "")})
	}
	errs := validation.IsValidCIDRForLegacyField(at.path(), b.CIDR, true, c.had)
	_, whole, err := netutils.ParseCIDRSloppy(b.CIDR)
	if err != nil {
		return errs
	}
	return append(errs, each(b.Except, path.Child("except"), func(text *string, path *place) field.ErrorList {
		errs := validation.IsValidCIDRForLegacyField(path.path(), *text, true, c.had)
		_, part, err := netutils.ParseCIDRSloppy(*text)
		if err != nil {
			return errs
		}
		most, _ := whole.Mask.Size()
		size, _ := part.Mask.Size()
		inside := whole.Contains(part.IP) && most < size
		return append(errs, when(!inside, invalidAt(path, *text, "must be a strict subset of `cidr`"))...)
	})...)
}
