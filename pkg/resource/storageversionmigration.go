package resource

import (
	"fmt"
	"strings"
	"time"

	migrationv1 "k8s.io/api/storagemigration/v1"
	migrationv1beta1 "k8s.io/api/storagemigration/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// storageVersionMigrations ask that all objects of a resource be written again, in the version that is stored now.
func storageVersionMigrations() *Row {
	gv := migrationv1.SchemeGroupVersion
	return Row{
		Resource: "storageversionmigrations", Singular: "storageversionmigration", Kind: "StorageVersionMigration",
		Versions: []Version{servedAs[migrationv1.StorageVersionMigration, migrationv1.StorageVersionMigrationList](gv)},
		Prefix:   "storageversionmigrations",
		Unowned:  map[string][]string{"status": {"metadata", "spec"}},
		Kept:     migrationv1beta1.SchemeGroupVersion,
		Columns: []metav1.TableColumnDefinition{
			column("Name", nameColumn.Description), column("Resource", "GroupResource to migrate"), column("Status", "Status of the migration"),
		},
	}.with(rules(Rules[*migrationv1.StorageVersionMigration]{
		PrepareCreate: func(m *migrationv1.StorageVersionMigration) { m.Status = migrationv1.StorageVersionMigrationStatus{} },
		PrepareUpdate: func(next, old *migrationv1.StorageVersionMigration) { next.Status = *old.Status.DeepCopy() },
		Validate:      validateMigration,
		ValidateUpdate: func(next, old *migrationv1.StorageVersionMigration) field.ErrorList {
			return join(validateMigration(next), validateMetaUpdate(next, old), immutableGo(next.Spec, old.Spec, atSpec))
		},
		Cells: func(m *migrationv1.StorageVersionMigration, _ time.Time) []any {
			return []any{m.Name, m.Spec.Resource.String(), migrationState(m)}
		},
		PrepareStatus: func(next, old *migrationv1.StorageVersionMigration) {
			next.Spec = *old.Spec.DeepCopy()
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: validateMigrationStatus,
	}))
}

// migrationState is the last of the conditions that hold.
func migrationState(m *migrationv1.StorageVersionMigration) string {
	state := "Unknown"
	for _, c := range m.Status.Conditions {
		switch migrationv1.MigrationConditionType(c.Type) {
		case migrationv1.MigrationRunning, migrationv1.MigrationFailed, migrationv1.MigrationSucceeded:
			if c.Status == metav1.ConditionTrue {
				state = c.Type
			}
		}
	}
	return state
}

func validateMigration(m *migrationv1.StorageVersionMigration) field.ErrorList {
	path, r := newPlace("spec", "resource"), m.Spec.Resource
	complaint := func(name, value string, faults []string) field.ErrorList {
		return when(len(faults) > 0, invalidAt(path.Child(name), value, strings.Join(faults, ",")))
	}
	errs := validateMeta(m, false, subdomainName)
	if r.Resource == "" {
		errs = append(errs, field.Required(path.Child("resource").path(), "resource is required to be set"))
	} else {
		errs = append(errs, complaint("resource", r.Resource, validation.IsDNS1035Label(r.Resource))...)
	}
	if r.Group != "" {
		errs = append(errs, complaint("group", r.Group, validation.IsDNS1123Subdomain(r.Group))...)
	}
	return errs
}

// validateMigrationStatus keeps the state from which a migration began, and how it ended.
func validateMigrationStatus(next, old *migrationv1.StorageVersionMigration) field.ErrorList {
	version, conditions := newPlace("status", "resourceVersion"), newPlace("status", "conditions")
	errs := validateMetaUpdate(next, old)
	if now := next.Status.ResourceVersion; now != "" {
		_, err := resourceversion.CompareResourceVersion(now, now)
		errs = append(errs, when(err != nil, invalidAt(version, now, fmt.Sprint(err)))...)
	}
	errs = append(errs, metavalidation.ValidateConditions(next.Status.Conditions, conditions.path())...)
	if was := old.Status.ResourceVersion; was != "" && was != next.Status.ResourceVersion {
		errs = append(errs, invalidAt(version, next.Status.ResourceVersion, "field is immutable"))
	}
	return append(errs, validateMigrationOutcome(next.Status.Conditions, old.Status.Conditions, conditions)...)
}

// validateMigrationOutcome: a migration ends once, in one way.
func validateMigrationOutcome(next, old []metav1.Condition, at *place) field.ErrorList {
	is := func(conditions []metav1.Condition, t migrationv1.MigrationConditionType) bool {
		return meta.IsStatusConditionTrue(conditions, string(t))
	}
	succeeded, failed := is(next, migrationv1.MigrationSucceeded), is(next, migrationv1.MigrationFailed)
	complain := func(that bool, text string) field.ErrorList { return when(that, invalidAt(at, next, text)) }
	return join(
		complain(succeeded && failed, "Both success and failed conditions cannot be true at the same time"),
		complain(is(old, migrationv1.MigrationSucceeded) && !succeeded, "Success condition cannot be set to false once it is true"),
		complain(is(old, migrationv1.MigrationFailed) && !failed, "Failed condition cannot be set to false once it is true"),
	)
}
