package resource

import (
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

func serviceCIDRs() *Row {
	return Row{
		Resource: "servicecidrs", Singular: "servicecidr", Kind: "ServiceCIDR",
		Versions: []Version{servedAs[networkingv1.ServiceCIDR, networkingv1.ServiceCIDRList](networkingv1.SchemeGroupVersion)},
		Prefix:   "servicecidrs",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("CIDRs", networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"]), ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*networkingv1.ServiceCIDR]{
		PrepareCreate:  func(c *networkingv1.ServiceCIDR) { c.Status = networkingv1.ServiceCIDRStatus{} },
		PrepareUpdate:  func(next, old *networkingv1.ServiceCIDR) { next.Status = old.Status },
		Validate:       validateServiceCIDR,
		ValidateUpdate: validateServiceCIDRUpdate,
		PrepareStatus:  func(next, old *networkingv1.ServiceCIDR) { next.Spec = old.Spec },
		ValidateStatus: func(next, old *networkingv1.ServiceCIDR) field.ErrorList { return validateMetaUpdate(next, old) },
		Cells: func(c *networkingv1.ServiceCIDR, now time.Time) []any {
			return []any{c.Name, strings.Join(c.Spec.CIDRs, ","), age(c, now)}
		},
	}))
}

func validateServiceCIDR(c *networkingv1.ServiceCIDR) field.ErrorList {
	errs := validateMeta(c, false, subdomainName)
	path := newPlace("spec", "cidrs")
	switch len(c.Spec.CIDRs) {
	case 0:
		return append(errs, requiredAt(path, "at least one CIDR required"))
	case 1:
	case 2:
		if dual, err := netutils.IsDualStackCIDRStrings(c.Spec.CIDRs); err != nil || !dual {
			return append(errs, invalidAt(path, c.Spec,
				"may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
		}
	default:
		return append(errs, invalidAt(path, c.Spec, "may only hold up to 2 values"))
	}
	for i, cidr := range c.Spec.CIDRs {
		errs = append(errs, validation.IsValidCIDR(path.Index(i).path(), cidr)...)
	}
	return errs
}

func validateServiceCIDRUpdate(next, old *networkingv1.ServiceCIDR) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		immutable(next.Spec.CIDRs, old.Spec.CIDRs, newPlace("spec", "cidrs")),
	)
}
