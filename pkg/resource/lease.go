package resource

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func leases() *Row {
	return Row{
		Resource: "leases", Singular: "lease", Kind: "Lease",
		Namespaced: true,
		Versions:   []Version{servedAs[coordinationv1.Lease, coordinationv1.LeaseList](coordinationv1.SchemeGroupVersion)},
		Prefix:     "leases",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]), ageColumn,
		},
		CreateOnUpdate: true,
	}.with(rules(Rules[*coordinationv1.Lease]{
		PrepareCreate:  func(l *coordinationv1.Lease) { dropStrategy(l, nil) },
		PrepareUpdate:  dropStrategy,
		Validate:       validateLease,
		ValidateUpdate: func(next, _ *coordinationv1.Lease) field.ErrorList { return validateLeaseSpec(&next.Spec) },
		Cells: func(l *coordinationv1.Lease, now time.Time) []any {
			holder := ""
			if l.Spec.HolderIdentity != nil {
				holder = *l.Spec.HolderIdentity
			}
			return []any{l.Name, holder, age(l, now)}
		},
	}))
}

// dropStrategy clears the fields of coordinated leader election, which v1.37 has off by default, unless they are in use.
func dropStrategy(next, old *coordinationv1.Lease) {
	if old == nil || old.Spec.Strategy == nil {
		next.Spec.Strategy, next.Spec.PreferredHolder = nil, nil
	}
}

func validateLease(l *coordinationv1.Lease) field.ErrorList {
	return append(anyFinalizers(l, true, subdomainName), validateLeaseSpec(&l.Spec)...)
}

func validateLeaseSpec(s *coordinationv1.LeaseSpec) field.ErrorList {
	var errs field.ErrorList
	spec := newPlace("spec")
	if d := s.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, invalidAt(spec.Child("leaseDurationSeconds"), *d, "must be greater than 0"))
	}
	if t := s.LeaseTransitions; t != nil && *t < 0 {
		errs = append(errs, invalidAt(spec.Child("leaseTransitions"), *t, "must be greater than or equal to 0"))
	}
	return errs
}
