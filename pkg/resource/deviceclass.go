package resource

import (
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// deviceClasses are the sorts of devices that claims ask for by name.
func deviceClasses() *Row {
	return Row{
		Resource: "deviceclasses", Singular: "deviceclass", Kind: "DeviceClass",
		Versions: []Version{servedAs[resourcev1.DeviceClass, resourcev1.DeviceClassList](resourcev1.SchemeGroupVersion)},
		Prefix:   "deviceclasses",
		Columns:  []metav1.TableColumnDefinition{nameColumn, ageColumn}, DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*resourcev1.DeviceClass]{
		PrepareCreate: func(c *resourcev1.DeviceClass) { c.Generation = 1 },
		PrepareUpdate: func(next, old *resourcev1.DeviceClass) { raiseGeneration(next, old, !same(next.Spec, old.Spec)) },
		Validate: func(c *resourcev1.DeviceClass) field.ErrorList {
			return declaredLast(join(
				validateMeta(c, false, anyName),
				declaredLongName(c),
				deviceClassSpec(&c.Spec, &resourcev1.DeviceClassSpec{}),
			))
		},
		ValidateUpdate: func(next, old *resourcev1.DeviceClass) field.ErrorList {
			return declaredLast(join(validateMetaUpdate(next, old), deviceClassSpec(&next.Spec, &old.Spec)))
		},
		Cells: func(c *resourcev1.DeviceClass, now time.Time) []any { return []any{c.Name, age(c, now)} },
	}))
}

// anyName leaves the name to a declared rule.
func anyName(string, bool) []string { return nil }

func declaredLongName(o Object) field.ErrorList {
	if o.GetName() == "" {
		return nil
	}
	return declaredFormat(o.GetName(), atMetadata.Child("name"), validate.LongName)
}

// deviceClassSpec accepts expressions and parameters that it accepted before, while their list is as it was.
func deviceClassSpec(s, old *resourcev1.DeviceClassSpec) field.ErrorList {
	storedSelectors := len(s.Selectors) > 0 && same(s.Selectors, old.Selectors)
	storedConfig := len(s.Config) > 0 && same(s.Config, old.Config)
	errs := join(
		deviceSelectors(s.Selectors, storedSelectors, atSpec.Child("selectors")),
		boundedList(s.Config, resourcev1.DeviceConfigMaxSize, atSpec.Child("config"),
			func(c *resourcev1.DeviceClassConfiguration, path *place) field.ErrorList {
				return deviceConfiguration(&c.DeviceConfiguration, storedConfig, path)
			}),
	)
	if n := s.ExtendedResourceName; n != nil && !same(n, old.ExtendedResourceName) {
		errs = append(errs, declaredFormat(*n, atSpec.Child("extendedResourceName"), validate.ExtendedResourceName)...)
	}
	return errs
}
