package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func configMaps() *Row {
	return Row{
		Resource: "configmaps", Singular: "configmap", Kind: "ConfigMap",
		ShortNames:          []string{"cm"},
		Namespaced:          true,
		Versions:            []Version{servedAs[corev1.ConfigMap, corev1.ConfigMapList](corev1.SchemeGroupVersion)},
		Prefix:              "configmaps",
		Columns:             []metav1.TableColumnDefinition{nameColumn, column("Data", corev1.ConfigMap{}.SwaggerDoc()["data"]), ageColumn},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.ConfigMap]{
		Validate:       validateConfigMap,
		ValidateUpdate: validateConfigMapUpdate,
		Cells: func(c *corev1.ConfigMap, now time.Time) []any {
			return []any{c.Name, int64(len(c.Data) + len(c.BinaryData)), age(c, now)}
		},
	}))
}

func validateConfigMap(c *corev1.ConfigMap) field.ErrorList {
	errs := validateMeta(c, true, subdomainName)
	size := 0
	for key, value := range sorted(c.Data) {
		path := newPlace("data").Key(key)
		errs = append(errs, dataKey(key, path)...)
		if _, twice := c.BinaryData[key]; twice {
			errs = append(errs, invalidAt(path, key, "duplicate of key present in binaryData"))
		}
		size += len(value)
	}
	for key, value := range sorted(c.BinaryData) {
		errs = append(errs, dataKey(key, newPlace("binaryData").Key(key))...)
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, tooLongAt(newPlace(""), "", corev1.MaxSecretSize))
	}
	return errs
}

func validateConfigMapUpdate(next, old *corev1.ConfigMap) field.ErrorList {
	errs := validateMetaUpdate(next, old)
	if isTrue(old.Immutable) {
		if !isTrue(next.Immutable) {
			errs = append(errs, fixedByImmutable("immutable"))
		}
		if !same(next.Data, old.Data) {
			errs = append(errs, fixedByImmutable("data"))
		}
		if !same(next.BinaryData, old.BinaryData) {
			errs = append(errs, fixedByImmutable("binaryData"))
		}
	}
	return append(errs, validateConfigMap(next)...)
}

// fixedByImmutable is the refusal of a change to a ConfigMap or Secret that its owner has frozen.
func fixedByImmutable(name string) *field.Error {
	return forbiddenAt(newPlace(name), "field is immutable when `immutable` is set")
}

// dataKey validates one key of a ConfigMap or Secret; it becomes the name of a file.
func dataKey(key string, path *place) field.ErrorList {
	return invalid(path, key, validation.IsConfigMapKey(key))
}
