package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// What a path may not contain, or end with, so that nobody is led to another path than was meant.
var (
	pathDetours  = []string{"//", "/./", "/../", "%2f", "%2F"}
	pathDeadEnds = []string{"/..", "/."}
)

// ingressRules are those that an Ingress from before them need not follow.
type ingressRules struct{ secretNames, wildcardRules bool }

func validateIngressCreate(i *networkingv1.Ingress) field.ErrorList {
	errs := validateIngressAt(i, ingressRules{secretNames: true, wildcardRules: true})
	class, annotated := i.Annotations[ingressClassAnnotation]
	return append(errs, when(annotated && i.Spec.IngressClassName != nil && class != *i.Spec.IngressClassName,
		invalidAt(newPlace("annotations").Child(ingressClassAnnotation), class, "must match `ingressClassName` when both are specified"))...)
}

func validateIngressUpdate(next, old *networkingv1.Ingress) field.ErrorList {
	r := ingressRules{secretNames: true, wildcardRules: true}
	for _, t := range old.Spec.TLS {
		r.secretNames = r.secretNames && (t.SecretName == "" || len(subdomainName(t.SecretName, false)) == 0)
	}
	for _, rule := range old.Spec.Rules {
		if strings.Contains(rule.Host, "*") && len(validateIngressHTTP(rule.HTTP, nil)) > 0 {
			r.wildcardRules = false
		}
	}
	return append(validateMetaUpdate(next, old), validateIngressAt(next, r)...)
}

func validateIngressAt(i *networkingv1.Ingress, r ingressRules) field.ErrorList {
	s, path := &i.Spec, atSpec
	errs := join(
		validateMeta(i, true, subdomainName),
		when(len(s.Rules) == 0 && s.DefaultBackend == nil, invalidAt(path, s.Rules, "either `defaultBackend` or `rules` must be specified")),
		given(s.DefaultBackend, path.Child("defaultBackend"), validateIngressBackend),
		each(s.Rules, path.Child("rules"), func(rule *networkingv1.IngressRule, path *place) field.ErrorList {
			errs := ingressHost(rule.Host, path.Child("host"))
			if r.wildcardRules || !strings.Contains(rule.Host, "*") {
				errs = append(errs, validateIngressHTTP(rule.HTTP, path.Child("http"))...)
			}
			return errs
		}),
		each(s.TLS, path.Child("tls"), func(t *networkingv1.IngressTLS, path *place) field.ErrorList {
			errs := each(t.Hosts, path.Child("hosts"), func(h *string, path *place) field.ErrorList { return hostOrWildcard(*h, path) })
			if r.secretNames && t.SecretName != "" {
				errs = append(errs, dnsSubdomain(t.SecretName, path.Child("secretName"))...)
			}
			return errs
		}),
	)
	return append(errs, given(s.IngressClassName, path.Child("ingressClassName"), func(name *string, path *place) field.ErrorList {
		return dnsSubdomain(*name, path)
	})...)
}

// ingressHost wants a name. An empty one is any.
func ingressHost(host string, path *place) field.ErrorList {
	if host == "" {
		return nil
	}
	return append(when(netutils.ParseIPSloppy(host) != nil, invalidAt(path, host, "must be a DNS name, not an IP address")),
		hostOrWildcard(host, path)...)
}

func hostOrWildcard(host string, path *place) field.ErrorList {
	if strings.Contains(host, "*") {
		return invalid(path, host, validation.IsWildcardDNS1123Subdomain(host))
	}
	return dnsSubdomain(host, path)
}

func validateIngressHTTP(h *networkingv1.HTTPIngressRuleValue, path *place) field.ErrorList {
	if h == nil {
		return nil
	}
	paths := path.Child("paths")
	return append(when(len(h.Paths) == 0, requiredAt(paths, "")), each(h.Paths, paths, validateIngressPath)...)
}

func validateIngressPath(p *networkingv1.HTTPIngressPath, path *place) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{requiredAt(path.Child("pathType"), "pathType must be specified")}
	}
	at := path.Child("path")
	relative := when(!strings.HasPrefix(p.Path, "/"), invalidAt(at, p.Path, "must be an absolute path"))
	var errs field.ErrorList
	switch *p.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		errs = append(relative, straightPath(p.Path, at)...)
	case networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" {
			errs = relative
		}
	default:
		errs = field.ErrorList{notSupportedAt(path.Child("pathType"), *p.PathType, []networkingv1.PathType{
			networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix})}
	}
	return append(errs, validateIngressBackend(&p.Backend, path.Child("backend"))...)
}

func straightPath(p string, path *place) field.ErrorList {
	var errs field.ErrorList
	for _, part := range pathDetours {
		errs = append(errs, when(strings.Contains(p, part), invalidAt(path, p, fmt.Sprintf("must not contain '%s'", part)))...)
	}
	for _, end := range pathDeadEnds {
		errs = append(errs, when(strings.HasSuffix(p, end), invalidAt(path, p, fmt.Sprintf("cannot end with '%s'", end)))...)
	}
	return errs
}

// validateIngressBackend wants either a service or another object.
func validateIngressBackend(b *networkingv1.IngressBackend, path *place) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{invalidAt(path, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return objectRef(b.Resource, segment, path.Child("resource"))
	case b.Service == nil:
		return field.ErrorList{invalidAt(path, "", "resource or service backend is required")}
	}
	service, name := path.Child("service"), b.Service.Name
	errs := when(name == "", requiredAt(service.Child("name"), ""))
	if name != "" {
		errs = dnsLabel(name, service.Child("name"))
	}
	switch port, at := b.Service.Port, service.Child("port"); {
	case port.Name != "" && port.Number != 0:
		return append(errs, invalidAt(path, "", "cannot set both port name & port number"))
	case port.Name != "":
		return append(errs, invalid(at.Child("name"), port.Name, validation.IsValidPortName(port.Name))...)
	case port.Number != 0:
		return append(errs, invalid(at.Child("number"), port.Number, validation.IsValidPortNum(int(port.Number)))...)
	}
	return append(errs, requiredAt(path, "port name or number is required"))
}

// objectRef validates a reference to an object of any kind.
func objectRef(r *corev1.TypedLocalObjectReference, segment func(string, *place) field.ErrorList, path *place) field.ErrorList {
	return join(
		given(r.APIGroup, path.Child("apiGroup"), func(g *string, path *place) field.ErrorList { return dnsSubdomain(*g, path) }),
		segment(r.Kind, path.Child("kind")),
		segment(r.Name, path.Child("name")),
	)
}

// validateIngressStatus lets addresses stay that were written before there were rules for them.
func validateIngressStatus(next, old *networkingv1.Ingress) field.ErrorList {
	var had []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		had = append(had, in.IP)
	}
	return append(validateMetaUpdate(next, old), each(next.Status.LoadBalancer.Ingress, newPlace("status", "loadBalancer", "ingress"),
		func(in *networkingv1.IngressLoadBalancerIngress, path *place) field.ErrorList {
			var errs field.ErrorList
			if in.IP != "" {
				errs = validation.IsValidIPForLegacyField(path.Child("ip").path(), in.IP, true, had)
			}
			if in.Hostname != "" {
				host := path.Child("hostname")
				errs = join(errs, dnsSubdomain(in.Hostname, host),
					when(netutils.ParseIPSloppy(in.Hostname) != nil, invalidAt(host, in.Hostname, "must be a DNS name, not an IP address")))
			}
			return errs
		})...)
}
