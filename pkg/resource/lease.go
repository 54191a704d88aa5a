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
		PrepareCreate: func(l *coordinationv1.Lease) { dropStrategy(l, nil) },
		PrepareUpdate: dropStrategy,
		Validate:      validateLease,
		ValidateUpdate: func(next, old *coordinationv1.Lease) field.ErrorList {
			return join(validateMetaUpdate(next, old), validateLease(next))
		},
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
	errs := validateMeta(l, true, subdomainName)
	spec := newPlace("spec")
	if d := l.Spec.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, invalidAt(spec.Child("leaseDurationSeconds"), *d, "must be greater than 0"))
	}
	if t := l.Spec.LeaseTransitions; t != nil && *t < 0 {
		errs = append(errs, invalidAt(spec.Child("leaseTransitions"), *t, "must be greater than or equal to 0"))
	}
	return errs
}
