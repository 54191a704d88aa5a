package resource

import (
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
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
		Unowned:  map[string][]string{"status": {"metadata", "spec"}},
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("CIDRs", networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"]), ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*networkingv1.ServiceCIDR]{
		PrepareCreate:  func(c *networkingv1.ServiceCIDR) { c.Status = networkingv1.ServiceCIDRStatus{} },
		PrepareUpdate:  func(next, old *networkingv1.ServiceCIDR) { next.Status = old.Status },
		Validate:       validateServiceCIDR,
		ValidateUpdate: validateServiceCIDRUpdate,
		PrepareStatus: func(next, old *networkingv1.ServiceCIDR) {
			next.Spec = old.Spec
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: func(next, old *networkingv1.ServiceCIDR) field.ErrorList { return validateMetaUpdate(next, old) },
		Cells: func(c *networkingv1.ServiceCIDR, now time.Time) []any {
			return []any{c.Name, strings.Join(c.Spec.CIDRs, ","), age(c, now)}
		},
	}))
}

func validateServiceCIDR(c *networkingv1.ServiceCIDR) field.ErrorList {
	return append(validateMeta(c, false, subdomainName), validateCIDRs(&c.Spec, newPlace("spec", "cidrs"))...)
}

func validateCIDRs(s *networkingv1.ServiceCIDRSpec, path *place) (errs field.ErrorList) {
	switch len(s.CIDRs) {
	case 0:
		return append(errs, requiredAt(path, "at least one CIDR required"))
	case 1, 2:
	default:
		return append(errs, invalidAt(path, bare(s), "may only hold up to 2 values"))
	}
	for i, cidr := range s.CIDRs {
		errs = append(errs, validation.IsValidCIDR(path.Index(i).path(), cidr)...)
	}
	if len(s.CIDRs) == 2 {
		one, other := netutils.IPFamilyOfCIDRString(s.CIDRs[0]), netutils.IPFamilyOfCIDRString(s.CIDRs[1])
		errs = append(errs, when(one == other && one != netutils.IPFamilyUnknown,
			invalidAt(path, s.CIDRs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))...)
	}
	return errs
}

func validateServiceCIDRUpdate(next, old *networkingv1.ServiceCIDR) field.ErrorList {
	return append(validateMetaUpdate(next, old), changedCIDRs(&next.Spec, old.Spec.CIDRs, newPlace("spec", "cidrs"))...)
}

// changedCIDRs lets a range get another one beside it, for the other family of addresses.
func changedCIDRs(next *networkingv1.ServiceCIDRSpec, old []string, path *place) (errs field.ErrorList) {
	grows := len(old) == 1 && len(next.CIDRs) == 2
	if len(next.CIDRs) != len(old) && !grows {
		return field.ErrorList{invalidAt(path, next.CIDRs, apivalidation.FieldImmutableErrorMsg)}
	}
	for i, c := range old {
		errs = append(errs, when(c != next.CIDRs[i], invalidAt(path.Index(i), next.CIDRs[i], apivalidation.FieldImmutableErrorMsg))...)
	}
	if grows {
		errs = append(errs, validateCIDRs(next, path)...)
	}
	return errs
}
