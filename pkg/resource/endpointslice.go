package resource

import (
	"strconv"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func endpointSlices() *Row {
	doc := discoveryv1.EndpointSlice{}.SwaggerDoc()
	return Row{
		Resource: "endpointslices", Singular: "endpointslice", Kind: "EndpointSlice",
		Namespaced: true,
		Versions:   []Version{servedAs[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](discoveryv1.SchemeGroupVersion)},
		Prefix:     "endpointslices",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("AddressType", doc["addressType"]), column("Ports", doc["ports"]),
			column("Endpoints", doc["endpoints"]), ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*discoveryv1.EndpointSlice]{
		Default:        defaultEndpointSlice,
		PrepareCreate:  prepareEndpointSlice,
		PrepareUpdate:  prepareEndpointSliceUpdate,
		Validate:       validateEndpointSlice,
		ValidateUpdate: validateEndpointSliceUpdate,
		Warnings:       func(next, _ *discoveryv1.EndpointSlice) []string { return endpointSliceWarnings(next) },
		Cells: func(s *discoveryv1.EndpointSlice, now time.Time) []any {
			return []any{s.Name, string(s.AddressType), slicePortsText(s.Ports), sliceEndpointsText(s.Endpoints), age(s, now)}
		},
	}))
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		orPtr(&s.Ports[i].Name, "")
		orPtr(&s.Ports[i].Protocol, "TCP")
	}
	noneIfEmpty(&s.Ports)
	noneIfEmpty(&s.Endpoints)
}

func prepareEndpointSlice(s *discoveryv1.EndpointSlice) {
	s.Generation = 1
	dropTopology(s, nil)
}

func prepareEndpointSliceUpdate(next, old *discoveryv1.EndpointSlice) {
	changed := next.AddressType != old.AddressType || !same(next.Endpoints, old.Endpoints) ||
		!same(next.Ports, old.Ports) || !same(next.Labels, old.Labels)
	raiseGeneration(next, old, changed)
	dropTopology(next, old)
}

// dropTopology clears deprecatedTopology, which v1 shows of objects from before v1 but does not take.
func dropTopology(next, old *discoveryv1.EndpointSlice) {
	if old != nil && same(next.Endpoints, old.Endpoints) {
		return
	}
	for i := range next.Endpoints {
		next.Endpoints[i].DeprecatedTopology = nil
	}
}

func endpointSliceWarnings(s *discoveryv1.EndpointSlice) []string {
	if s.AddressType == discoveryv1.AddressTypeFQDN {
		return []string{"spec.addressType: FQDN endpoints are deprecated"}
	}
	var warnings []string
	for i, e := range s.Endpoints {
		for j, a := range e.Addresses {
			path := newPlace("endpoints").Index(i).Child("addresses").Index(j)
			warnings = append(warnings, validation.GetWarningsForIP(path.path(), a)...)
		}
	}
	return warnings
}

func slicePortsText(ports []discoveryv1.EndpointPort) string {
	var all []string
	for _, p := range ports {
		switch {
		case p.Port != nil:
			all = append(all, strconv.Itoa(int(*p.Port)))
		case p.Name != nil:
			all = append(all, *p.Name)
		default:
			all = append(all, "*")
		}
	}
	return unset(firstThree(all))
}

func unset(text string) string {
	if text == "" {
		return "<unset>"
	}
	return text
}

func sliceEndpointsText(list []discoveryv1.Endpoint) string {
	var all []string
	for _, e := range list {
		all = append(all, e.Addresses...)
	}
	return unset(firstThree(all))
}
