package resource

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

func endpoints() *Row {
	return Row{
		Resource: "endpoints", Singular: "endpoints", Kind: "Endpoints",
		ShortNames: []string{"ep"},
		Namespaced: true,
		Versions:   []Version{servedAs[corev1.Endpoints, corev1.EndpointsList](corev1.SchemeGroupVersion)},
		Prefix:     "services/endpoints",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Endpoints", corev1.Endpoints{}.SwaggerDoc()["subsets"]), ageColumn,
		},
		CreateOnUpdate: true, UnconditionalUpdate: true,
		Deprecated: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
	}.with(rules(Rules[*corev1.Endpoints]{
		Default:        defaultEndpoints,
		Validate:       validateEndpoints,
		ValidateUpdate: validateEndpointsUpdate,
		Warnings:       func(next, _ *corev1.Endpoints) []string { return endpointsWarnings(next) },
		Cells: func(e *corev1.Endpoints, now time.Time) []any {
			return []any{e.Name, endpointsText(e.Subsets), age(e, now)}
		},
	}))
}

func defaultEndpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			or(&e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
		}
	}
}

// endpointsWarnings spares the controller that writes most of them: it has brought the addresses into form.
func endpointsWarnings(e *corev1.Endpoints) []string {
	if e.Labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
		return nil
	}
	var all []string
	warn := func(list []corev1.EndpointAddress, path *place) {
		for i := range list {
			all = append(all, validation.GetWarningsForIP(path.Index(i).Child("ip").path(), list[i].IP)...)
		}
	}
	for i, s := range e.Subsets {
		at := newPlace("subsets").Index(i)
		warn(s.Addresses, at.Child("addresses"))
		warn(s.NotReadyAddresses, at.Child("notReadyAddresses"))
	}
	return all
}

func validateEndpoints(e *corev1.Endpoints) field.ErrorList {
	return append(validateMeta(e, true, subdomainName), each(e.Subsets, newPlace("subsets"), validateSubset)...)
}

func validateEndpointsUpdate(next, old *corev1.Endpoints) field.ErrorList {
	return join(validateMetaUpdate(next, old), validateEndpoints(next))
}

func validateSubset(s *corev1.EndpointSubset, path *place) field.ErrorList {
	return join(
		when(len(s.Addresses) == 0 && len(s.NotReadyAddresses) == 0,
			requiredAt(path, "must specify `addresses` or `notReadyAddresses`")),
		each(s.Addresses, path.Child("addresses"), validateEndpointAddress),
		each(s.NotReadyAddresses, path.Child("notReadyAddresses"), validateEndpointAddress),
		each(s.Ports, path.Child("ports"), func(p *corev1.EndpointPort, path *place) field.ErrorList {
			return validateEndpointPort(p, len(s.Ports) > 1, path)
		}),
	)
}

func validateEndpointAddress(a *corev1.EndpointAddress, path *place) field.ErrorList {
	errs := strictIP(a.IP, path.Child("ip"))
	if a.Hostname != "" {
		errs = append(errs, dnsLabel(a.Hostname, path.Child("hostname"))...)
	}
	if a.NodeName != nil {
		errs = append(errs, invalid(path.Child("nodeName"), *a.NodeName, subdomainName(*a.NodeName, false))...)
	}
	return append(errs, ordinaryIP(a.IP, path.Child("ip"))...)
}

func validateEndpointPort(p *corev1.EndpointPort, wantsName bool, path *place) field.ErrorList {
	var errs field.ErrorList
	if p.Name != "" {
		errs = dnsLabel(p.Name, path.Child("name"))
	} else if wantsName {
		errs = field.ErrorList{requiredAt(path.Child("name"), "")}
	}
	errs = append(errs, invalid(path.Child("port"), p.Port, validation.IsValidPortNum(int(p.Port)))...)
	errs = append(errs, portProtocol(p.Protocol, path.Child("protocol"))...)
	if p.AppProtocol != nil {
		errs = append(errs, qualifiedName(*p.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}

// portProtocol wants one of the protocols that services forward.
func portProtocol(p corev1.Protocol, path *place) field.ErrorList {
	return presentOneOf(p, path, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

// ordinaryIP refuses addresses that mean something else on each machine, and so let a Service reach into a node: its
// loopback, its metadata service.
func ordinaryIP(s string, path *place) field.ErrorList {
	ip := netutils.ParseIPSloppy(s)
	if ip == nil {
		return field.ErrorList{invalidAt(path, s, "must be a valid IP address")}
	}
	return join(
		when(ip.IsUnspecified(), invalidAt(path, s, fmt.Sprintf("may not be unspecified (%v)", s))),
		when(ip.IsLoopback(), invalidAt(path, s, "may not be in the loopback range (127.0.0.0/8, ::1/128)")),
		when(ip.IsLinkLocalUnicast(), invalidAt(path, s, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")),
		when(ip.IsLinkLocalMulticast(), invalidAt(path, s, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")),
	)
}

// endpointsText is the first ready addresses with their ports: nothing if none is ready, <none> if there are none.
func endpointsText(subsets []corev1.EndpointSubset) string {
	if len(subsets) == 0 {
		return "<none>"
	}
	var all []string
	for _, s := range subsets {
		if len(s.Ports) == 0 {
			// Endpoints of a headless service may have no ports.
			for _, a := range s.Addresses {
				all = append(all, a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				all = append(all, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	return firstThree(all)
}

// firstThree is up to three items of a list and how many more there are.
func firstThree(items []string) string {
	if len(items) <= 3 {
		return strings.Join(items, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(items[:3], ","), len(items)-3)
}
