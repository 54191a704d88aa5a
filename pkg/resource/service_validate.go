package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

const (
	onlyLoadBalancer  = "may only be used when `type` is 'LoadBalancer'"
	notOfExternalName = "may not be set for ExternalName services"
)

func validateService(s *corev1.Service) field.ErrorList {
	return append(validateMeta(s, true, labelName), validateServiceBody(s)...)
}

// validateServiceBody has the rules for all but the metadata.
func validateServiceBody(s *corev1.Service) field.ErrorList {
	spec := newPlace("spec")
	return join(
		validateTopologyMode(s),
		when(len(s.Spec.Ports) == 0 && !isHeadless(s) && s.Spec.Type != corev1.ServiceTypeExternalName,
			requiredAt(spec.Child("ports"), "")),
		validateOfType(s, spec),
		validateServicePorts(s, spec.Child("ports")),
		labelMap(s.Spec.Selector, spec.Child("selector")),
		validateSessionAffinity(s, spec),
		validateServiceIPs(s),
		validateExternalIPs(s.Spec.ExternalIPs, spec.Child("externalIPs")),
		presentOneOf(s.Spec.Type, spec.Child("type"), corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
			corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort),
		validateNodePorts(s, spec.Child("ports")),
		validateSourceRanges(s, spec),
		validateAllocateNodePorts(s, spec),
		validateLoadBalancerClass(s, spec.Child("loadBalancerClass")),
		validateTraffic(s, spec),
	)
}

// validateServiceUpdate says no more than what is wrong with the addresses, if anything is: upstream allocates before it validates.
func validateServiceUpdate(next, old *corev1.Service) field.ErrorList {
	if faults := validateServiceIPs(next); len(faults) > 0 {
		return faults
	}
	spec := newPlace("spec")
	class := func(s *corev1.Service) any { return s.Spec.LoadBalancerClass }
	return join(
		validateMetaUpdate(next, old),
		validateIPChange(next, old),
		when(isLoadBalancer(old) && isLoadBalancer(next) && !same(class(next), class(old)),
			invalidAt(spec.Child("loadBalancerClass"), class(next), "may not change once set")),
		validateLoadBalancerClass(next, spec.Child("loadBalancerClass")),
		when(needsHealthCheck(old) && needsHealthCheck(next) && next.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort,
			forbiddenAt(spec.Child("healthCheckNodePort"), "field is immutable")),
		validateServiceBody(next),
	)
}

// validateTopologyMode wants an annotation and its older name to agree.
func validateTopologyMode(s *corev1.Service) field.ErrorList {
	older, hasOlder := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, hasMode := s.Annotations[corev1.AnnotationTopologyMode]
	path := newPlace("metadata", "annotations").Key(corev1.AnnotationTopologyMode)
	return when(hasOlder && hasMode && older != mode, invalidAt(path, mode,
		fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints)))
}

// validateOfType is what the type says of the other fields.
func validateOfType(s *corev1.Service, spec *place) field.ErrorList {
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if isHeadless(s) {
			return field.ErrorList{invalidAt(spec.Child("clusterIPs").Index(0), s.Spec.ClusterIPs[0],
				fmt.Sprintf("may not be set to 'None' for %s services", s.Spec.Type))}
		}
	case corev1.ServiceTypeExternalName:
		return join(
			when(len(s.Spec.ClusterIPs) > 0, forbiddenAt(spec.Child("clusterIPs"), notOfExternalName)),
			when(len(s.Spec.IPFamilies) > 0, forbiddenAt(spec.Child("ipFamilies"), notOfExternalName)),
			when(s.Spec.IPFamilyPolicy != nil, forbiddenAt(spec.Child("ipFamilyPolicy"), notOfExternalName)),
			validateExternalName(s.Spec.ExternalName, spec.Child("externalName")),
		)
	}
	return nil
}

// validateExternalName wants a DNS name; a dot at the end says that it is complete.
func validateExternalName(name string, path *place) field.ErrorList {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return field.ErrorList{requiredAt(path, "")}
	}
	return dnsSubdomain(name, path)
}

func validateServicePorts(s *corev1.Service, path *place) field.ErrorList {
	names := taken{}
	return each(s.Spec.Ports, path, func(p *corev1.ServicePort, path *place) field.ErrorList {
		errs := validatePortName(p.Name, len(s.Spec.Ports) > 1, names, path.Child("name"))
		errs = append(errs, invalid(path.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
		errs = append(errs, portProtocol(p.Protocol, path.Child("protocol"))...)
		errs = append(errs, targetPort(p.TargetPort, path.Child("targetPort"))...)
		if p.AppProtocol != nil {
			errs = append(errs, qualifiedName(*p.AppProtocol, path.Child("appProtocol"))...)
		}
		return errs
	})
}

func validatePortName(name string, wanted bool, names taken, path *place) field.ErrorList {
	if name == "" {
		return when(wanted, requiredAt(path, ""))
	}
	return join(dnsLabel(name, path), when(!names.claim(name), duplicateAt(path, name)))
}

func targetPort(p intstr.IntOrString, path *place) field.ErrorList {
	if p.Type == intstr.Int {
		return invalid(path, p.IntValue(), validation.IsValidPortNum(p.IntValue()))
	}
	return invalid(path, p.StrVal, validation.IsValidPortName(p.StrVal))
}

func validateSessionAffinity(s *corev1.Service, spec *place) field.ErrorList {
	errs := presentOneOf(s.Spec.SessionAffinity, spec.Child("sessionAffinity"), corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	config, path := s.Spec.SessionAffinityConfig, spec.Child("sessionAffinityConfig")
	switch s.Spec.SessionAffinity {
	case corev1.ServiceAffinityClientIP:
		return append(errs, validateClientIP(config, path)...)
	case corev1.ServiceAffinityNone:
		return append(errs, when(config != nil, forbiddenAt(path, "must not be set when session affinity is None"))...)
	}
	return errs
}

func validateClientIP(config *corev1.SessionAffinityConfig, path *place) field.ErrorList {
	const why = "when session affinity type is ClientIP"
	const longest = 86400
	switch {
	case config == nil:
		return field.ErrorList{requiredAt(path, why)}
	case config.ClientIP == nil:
		return field.ErrorList{requiredAt(path.Child("clientIP"), why)}
	case config.ClientIP.TimeoutSeconds == nil:
		return field.ErrorList{requiredAt(path.Child("clientIP").Child("timeoutSeconds"), why)}
	}
	t := *config.ClientIP.TimeoutSeconds
	return when(t <= 0 || t > longest, invalidAt(path.Child("clientIP").Child("timeoutSeconds"), t,
		fmt.Sprintf("must be greater than 0 and less than %d", longest)))
}

func validateExternalIPs(ips []string, path *place) field.ErrorList {
	return each(ips, path, func(ip *string, path *place) field.ErrorList {
		if errs := strictIP(*ip, path); len(errs) > 0 {
			return errs
		}
		return ordinaryIP(*ip, path)
	})
}

// validateNodePorts wants node ports only where there can be any, and no port or node port twice.
func validateNodePorts(s *corev1.Service, path *place) field.ErrorList {
	var errs field.ErrorList
	if s.Spec.Type == corev1.ServiceTypeClusterIP {
		for i, p := range s.Spec.Ports {
			errs = append(errs, when(p.NodePort != 0,
				forbiddenAt(path.Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))...)
		}
	}
	nodePorts, ports := map[corev1.ServicePort]bool{}, map[corev1.ServicePort]bool{}
	for i, p := range s.Spec.Ports {
		key := corev1.ServicePort{Protocol: p.Protocol, NodePort: p.NodePort}
		errs = append(errs, when(p.NodePort != 0 && nodePorts[key], duplicateAt(path.Index(i).Child("nodePort"), p.NodePort))...)
		nodePorts[key] = true
	}
	for i, p := range s.Spec.Ports {
		key := corev1.ServicePort{Protocol: p.Protocol, Port: p.Port}
		errs = append(errs, when(ports[key], duplicateGoAt(path.Index(i), key))...)
		ports[key] = true
	}
	return errs
}

// validateSourceRanges is for the field, or the annotation that was before it.
func validateSourceRanges(s *corev1.Service, spec *place) field.ErrorList {
	path, ranges := spec.Child("LoadBalancerSourceRanges"), s.Spec.LoadBalancerSourceRanges
	at := path.Index
	if len(ranges) == 0 {
		text, ok := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]
		if !ok {
			return nil
		}
		path = newPlace("metadata", "annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
		at = func(int) *place { return path }
		if text = strings.TrimSpace(text); text != "" {
			ranges = strings.Split(text, ",")
		}
	}
	errs := when(!isLoadBalancer(s), forbiddenAt(path, onlyLoadBalancer))
	for i, r := range ranges {
		errs = append(errs, validation.IsValidCIDRForLegacyField(at(i).path(), strings.TrimSpace(r), true, nil)...)
	}
	return errs
}

func validateAllocateNodePorts(s *corev1.Service, spec *place) field.ErrorList {
	set := s.Spec.AllocateLoadBalancerNodePorts != nil
	return join(
		when(set && !isLoadBalancer(s), forbiddenAt(spec.Child("allocateLoadBalancerNodePorts"), onlyLoadBalancer)),
		when(!set && isLoadBalancer(s), requiredAt(newPlace("allocateLoadBalancerNodePorts"), "")),
	)
}

func validateLoadBalancerClass(s *corev1.Service, path *place) field.ErrorList {
	class := s.Spec.LoadBalancerClass
	switch {
	case class == nil:
		return nil
	case !isLoadBalancer(s):
		return field.ErrorList{forbiddenAt(path, onlyLoadBalancer)}
	}
	return qualifiedName(*class, path)
}

// validateTraffic is for the policies that say which pods get traffic.
func validateTraffic(s *corev1.Service, spec *place) field.ErrorList {
	external, health := spec.Child("externalTrafficPolicy"), spec.Child("healthCheckNodePort")
	policy, port := s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort
	var errs field.ErrorList
	if fromOutside(s) {
		errs = presentOneOf(policy, external, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	} else {
		errs = when(policy != "", invalidAt(external, policy, "may only be set for externally-accessible services"))
	}
	switch {
	case !needsHealthCheck(s):
		errs = append(errs, when(port != 0, invalidAt(health, port,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))...)
	case port == 0:
		errs = append(errs, requiredAt(health, ""))
	default:
		errs = append(errs, invalid(health, port, validation.IsValidPortNum(int(port)))...)
	}
	return append(errs, validateInternalTraffic(s, spec)...)
}

func validateInternalTraffic(s *corev1.Service, spec *place) field.ErrorList {
	internal := spec.Child("internalTrafficPolicy")
	errs := when(s.Spec.InternalTrafficPolicy == nil && needsClusterIP(s), requiredAt(internal, ""))
	if p := s.Spec.InternalTrafficPolicy; p != nil {
		errs = oneOf(*p, internal, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	}
	if d := s.Spec.TrafficDistribution; d != nil {
		errs = append(errs, oneOf(*d, spec.Child("trafficDistribution"), corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)...)
	}
	return errs
}

func validateServiceStatus(next, old *corev1.Service) field.ErrorList {
	ingress, path := next.Status.LoadBalancer.Ingress, newPlace("status", "loadBalancer", "ingress")
	errs := validateMetaUpdate(next, old)
	if len(ingress) > 0 && !isLoadBalancer(next) {
		return append(errs, forbiddenAt(path, "may only be used when `spec.type` is 'LoadBalancer'"))
	}
	return append(errs, each(ingress, path, validateIngress)...)
}

func validateIngress(in *corev1.LoadBalancerIngress, path *place) field.ErrorList {
	var errs field.ErrorList
	if in.IP != "" {
		errs = strictIP(in.IP, path.Child("ip"))
	}
	mode := path.Child("ipMode")
	switch {
	case in.IPMode == nil:
		errs = append(errs, when(in.IP != "", requiredAt(mode, "must be specified when `ip` is set"))...)
	case in.IP == "":
		errs = append(errs, forbiddenAt(mode, "may not be specified when `ip` is not set"))
	default:
		errs = append(errs, oneOf(*in.IPMode, mode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
	}
	if in.Hostname != "" {
		host := path.Child("hostname")
		errs = append(errs, dnsSubdomain(in.Hostname, host)...)
		errs = append(errs, when(netutils.ParseIPSloppy(in.Hostname) != nil,
			invalidAt(host, in.Hostname, "must be a DNS name, not an IP address"))...)
	}
	return errs
}
