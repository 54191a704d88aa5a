package resource

import (
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ipAddresses are the record of which Service has which cluster IP. The name is the address, so that etcd itself
// refuses to give one away twice.
func ipAddresses() *Row {
	return Row{
		Resource: "ipaddresses", Singular: "ipaddress", Kind: "IPAddress",
		ShortNames: []string{"ip"},
		Versions:   []Version{servedAs[networkingv1.IPAddress, networkingv1.IPAddressList](networkingv1.SchemeGroupVersion)},
		Prefix:     "ipaddresses",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("ParentRef", networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"]),
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*networkingv1.IPAddress]{
		Validate:       validateIPAddress,
		ValidateUpdate: validateIPAddressUpdate,
		Fields: func(a *networkingv1.IPAddress) map[string]string {
			p := a.Spec.ParentRef
			if p == nil {
				p = &networkingv1.ParentReference{}
			}
			return map[string]string{
				"spec.parentRef.group": p.Group, "spec.parentRef.resource": p.Resource,
				"spec.parentRef.namespace": p.Namespace, "spec.parentRef.name": p.Name,
			}
		},
		Cells: func(a *networkingv1.IPAddress, now time.Time) []any {
			return []any{a.Name, parentText(a.Spec.ParentRef), age(a, now)} // there is no column for the age, as ever
		},
	}))
}

func validateIPAddress(a *networkingv1.IPAddress) field.ErrorList {
	return append(validateMeta(a, false, ipAddressName), validateParent(a.Spec.ParentRef)...)
}

func validateIPAddressUpdate(next, old *networkingv1.IPAddress) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		undeclared(validateIPAddress(next)),
		declaredChange(next.Spec.ParentRef, old.Spec.ParentRef, newPlace("spec", "parentRef")),
	)
}

// ipAddressName wants the one canonical way to write an address.
func ipAddressName(name string, _ bool) []string {
	var messages []string
	for _, err := range validation.IsValidIP(&field.Path{}, name) {
		messages = append(messages, err.Detail)
	}
	return messages
}

func validateParent(p *networkingv1.ParentReference) field.ErrorList {
	at := newPlace("spec", "parentRef")
	if p == nil {
		return declared(field.ErrorList{requiredAt(at, "")})
	}
	var errs field.ErrorList
	if p.Group != "" {
		errs = dnsSubdomain(p.Group, at.Child("group"))
	}
	return join(errs,
		declaredSegment(p.Resource, at.Child("resource")),
		declaredSegment(p.Name, at.Child("name")),
		invalid(at.Child("namespace"), p.Namespace, path.IsValidPathSegmentName(p.Namespace)),
	)
}

// segment wants a text that can be one segment of a URL's path.
func segment(s string, at *place) field.ErrorList {
	if s == "" {
		return field.ErrorList{requiredAt(at, "")}
	}
	return invalid(at, s, path.IsValidPathSegmentName(s))
}

// declaredSegment is segment where a declared rule says that there must be a text.
func declaredSegment(s string, at *place) field.ErrorList {
	if s == "" {
		return declared(segment(s, at))
	}
	return segment(s, at)
}

// parentText is "services/default/web", with the group after the resource if there is one.
func parentText(p *networkingv1.ParentReference) string {
	if p == nil {
		return "<none>"
	}
	resource := p.Resource
	if p.Group != "" {
		resource += "." + p.Group
	}
	parts := []string{resource}
	if p.Namespace != "" {
		parts = append(parts, p.Namespace)
	}
	return strings.Join(append(parts, p.Name), "/")
}
