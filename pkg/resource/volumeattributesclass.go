package resource

import (
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumeAttributesClasses are what of a volume may be changed while it is in use, such as its speed.
func volumeAttributesClasses() *Row {
	return Row{
		Resource: "volumeattributesclasses", Singular: "volumeattributesclass", Kind: "VolumeAttributesClass",
		ShortNames: []string{"vac"},
		Versions: []Version{
			servedAs[storagev1.VolumeAttributesClass, storagev1.VolumeAttributesClassList](storagev1.SchemeGroupVersion),
		},
		Prefix: "volumeattributesclasses",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("DriverName", storagev1.VolumeAttributesClass{}.SwaggerDoc()["driverName"]), ageColumn,
		},
		DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*storagev1.VolumeAttributesClass]{
		Validate:       validateVolumeAttributesClass,
		ValidateUpdate: validateVolumeAttributesClassUpdate,
		Cells: func(c *storagev1.VolumeAttributesClass, now time.Time) []any {
			return []any{c.Name, c.DriverName, age(c, now)}
		},
	}))
}

func validateVolumeAttributesClass(c *storagev1.VolumeAttributesClass) field.ErrorList {
	path := newPlace("parameters")
	return join(
		validateMeta(c, false, subdomainName),
		present(c.DriverName, newPlace("driverName")),
		provisioner(c.DriverName, newPlace("driverName")),
		when(len(c.Parameters) == 0, requiredAt(path, "must contain at least one key/value pair")),
		classParameters(c.Parameters, path),
	)
}

func validateVolumeAttributesClassUpdate(next, old *storagev1.VolumeAttributesClass) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		when(next.DriverName != old.DriverName, forbiddenAt(newPlace("driverName"), "updates to driverName are forbidden.")),
		when(!same(next.Parameters, old.Parameters), forbiddenAt(newPlace("parameters"), "updates to parameters are forbidden.")),
		validateVolumeAttributesClass(next),
	)
}
