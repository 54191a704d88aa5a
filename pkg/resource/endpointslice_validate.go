package resource

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// The sizes that a slice may have, so that one endpoint's change never costs more than one slice of this size.
const (
	maxEndpoints      = 1000
	maxSlicePorts     = 20000
	maxSliceAddresses = 100
	maxTopologyLabels = 16
	maxHints          = 8
)

func validateEndpointSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	types := []discoveryv1.AddressType{discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
	return join(
		validateMeta(s, true, subdomainName),
		declared(presentOneOf(s.AddressType, newPlace("addressType"), types...)),
		validateSlicePorts(s.Ports, newPlace("ports")),
		validateSliceEndpoints(s, newPlace("endpoints")),
	)
}

func validateEndpointSliceUpdate(next, old *discoveryv1.EndpointSlice) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		declaredChange(&next.AddressType, &old.AddressType, newPlace("addressType")),
		validateEndpointSliceAgain(next, old),
	)
}

// validateEndpointSliceAgain does not hold against endpoints what was allowed when they were made.
func validateEndpointSliceAgain(next, old *discoveryv1.EndpointSlice) field.ErrorList {
	errs := validateEndpointSlice(next)
	if len(errs) == 0 || !same(next.Endpoints, old.Endpoints) {
		return errs
	}
	return slices.DeleteFunc(errs, func(e *field.Error) bool { return !e.IsBeta() && strings.HasPrefix(e.Field, "endpoints") })
}

func validateSliceEndpoints(s *discoveryv1.EndpointSlice, path *place) field.ErrorList {
	if len(s.Endpoints) > maxEndpoints {
		return field.ErrorList{tooManyAt(path, len(s.Endpoints), maxEndpoints)}
	}
	return each(s.Endpoints, path, func(e *discoveryv1.Endpoint, path *place) field.ErrorList {
		return join(
			validateSliceAddresses(e.Addresses, s.AddressType, path.Child("addresses")),
			validateSliceEndpoint(e, path),
		)
	})
}

func validateSliceAddresses(addresses []string, kind discoveryv1.AddressType, path *place) field.ErrorList {
	errs := declared(join(
		when(len(addresses) == 0, requiredAt(path, "")),
		when(len(addresses) > maxSliceAddresses, tooManyAt(path, len(addresses), maxSliceAddresses)),
	))
	for i, a := range addresses {
		switch at := path.Index(i); kind {
		case discoveryv1.AddressTypeIPv4:
			errs = append(errs, familyIP(a, !netutils.IsIPv6String(a), "must be an IPv4 address", path, at)...)
		case discoveryv1.AddressTypeIPv6:
			errs = append(errs, familyIP(a, netutils.IsIPv6String(a), "must be an IPv6 address", path, at)...)
		case discoveryv1.AddressTypeFQDN:
			errs = append(errs, validation.IsFullyQualifiedDomainName(at.path(), a)...)
		}
	}
	return errs
}

// familyIP wants an ordinary address of the right family. That it is of the wrong one is said of the list.
func familyIP(s string, right bool, wrong string, list, path *place) field.ErrorList {
	if errs := strictIP(s, path); len(errs) > 0 {
		return errs
	}
	return join(when(!right, invalidAt(list, s, wrong)), ordinaryIP(s, path))
}

func validateSliceEndpoint(e *discoveryv1.Endpoint, path *place) field.ErrorList {
	topology := path.Child("deprecatedTopology")
	errs := join(
		given(e.NodeName, path.Child("nodeName"), nodeName),
		when(len(e.DeprecatedTopology) > maxTopologyLabels, tooManyAt(topology, len(e.DeprecatedTopology), maxTopologyLabels)),
		labelMap(e.DeprecatedTopology, topology),
		given(e.Hostname, path.Child("hostname"), func(name *string, path *place) field.ErrorList { return dnsLabel(*name, path) }),
	)
	if e.Hints == nil {
		return errs
	}
	var zones, nodes []string
	for _, z := range e.Hints.ForZones {
		zones = append(zones, z.Name)
	}
	for _, n := range e.Hints.ForNodes {
		nodes = append(nodes, n.Name)
	}
	hints := path.Child("hints")
	return join(errs,
		validateHints(zones, hints.Child("forZones"), func(name *string, path *place) field.ErrorList {
			return invalid(path, *name, labelValueProblems(*name))
		}),
		validateHints(nodes, hints.Child("forNodes"), nodeName),
	)
}

func nodeName(name *string, path *place) field.ErrorList {
	return invalid(path, *name, subdomainName(*name, false))
}

func validateHints(names []string, path *place, check func(*string, *place) field.ErrorList) field.ErrorList {
	if len(names) > maxHints {
		return field.ErrorList{tooManyAt(path, len(names), maxHints)}
	}
	seen := taken{}
	return each(names, path, func(name *string, path *place) field.ErrorList {
		at := path.Child("name")
		return join(when(!seen.claim(*name), duplicateAt(at, *name)), check(name, at))
	})
}

func validateSlicePorts(ports []discoveryv1.EndpointPort, path *place) field.ErrorList {
	if len(ports) > maxSlicePorts {
		return field.ErrorList{tooManyAt(path, len(ports), maxSlicePorts)}
	}
	seen := taken{}
	return each(ports, path, func(p *discoveryv1.EndpointPort, path *place) field.ErrorList {
		var errs field.ErrorList
		if p.Name != nil {
			if *p.Name != "" {
				errs = dnsLabel(*p.Name, path.Child("name"))
			}
			errs = append(errs, when(!seen.claim(*p.Name), duplicateAt(path.Child("name"), p.Name))...)
		}
		if p.Protocol == nil {
			errs = append(errs, requiredAt(path.Child("protocol"), ""))
		} else {
			errs = append(errs, oneOf(*p.Protocol, path.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
		}
		if p.AppProtocol != nil {
			errs = append(errs, qualifiedName(*p.AppProtocol, path.Child("appProtocol"))...)
		}
		return errs
	})
}
