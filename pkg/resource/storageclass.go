package resource

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultClassAnnotations mark the class that claims get which name none.
var defaultClassAnnotations = []string{
	"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
}

// storageClasses are the kinds of storage that claims can ask for, each with the driver that makes it.
func storageClasses() *Row {
	doc := storagev1.StorageClass{}.SwaggerDoc()
	return Row{
		Resource: "storageclasses", Singular: "storageclass", Kind: "StorageClass",
		ShortNames: []string{"sc"},
		Versions:   []Version{servedAs[storagev1.StorageClass, storagev1.StorageClassList](storagev1.SchemeGroupVersion)},
		Prefix:     "storageclasses",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Provisioner", doc["provisioner"]), column("ReclaimPolicy", doc["reclaimPolicy"]),
			column("VolumeBindingMode", doc["volumeBindingMode"]), column("AllowVolumeExpansion", doc["allowVolumeExpansion"]), ageColumn,
		},
		DeleteReturnsObject: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*storagev1.StorageClass]{
		Default: func(s *storagev1.StorageClass) {
			orPtr(&s.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
			orPtr(&s.VolumeBindingMode, storagev1.VolumeBindingImmediate)
		},
		Validate:       validateStorageClass,
		ValidateUpdate: validateStorageClassUpdate,
		Warnings:       storageClassWarnings,
		Cells: func(s *storagev1.StorageClass, now time.Time) []any {
			policy, mode := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingImmediate
			if s.ReclaimPolicy != nil {
				policy = *s.ReclaimPolicy
			}
			if s.VolumeBindingMode != nil {
				mode = *s.VolumeBindingMode
			}
			return []any{s.Name, s.Provisioner, string(policy), string(mode), isTrue(s.AllowVolumeExpansion), age(s, now)}
		},
		Together: markDefault,
	}))
}

// markDefault marks the class that claims get which name none. Of several that are annotated it is the newest, so that the list has to be
// known; of those the first by its name, which is the order of lists.
func markDefault(classes []*storagev1.StorageClass, lines []metav1.TableRow) {
	newest := -1
	for i, s := range classes {
		annotated := slices.ContainsFunc(defaultClassAnnotations, func(a string) bool { return s.Annotations[a] == "true" })
		if annotated && (newest < 0 || s.CreationTimestamp.After(classes[newest].CreationTimestamp.Time)) {
			newest = i
		}
	}
	if newest >= 0 {
		lines[newest].Cells[0] = classes[newest].Name + " (default)"
	}
}

func storageClassWarnings(next, _ *storagev1.StorageClass) []string {
	var w warnings
	for i, t := range next.AllowedTopologies {
		for j, e := range t.MatchLabelExpressions {
			m, old := oldNodeLabels[e.Key]
			w.addIf(old, newPlace("allowedTopologies").Index(i).Child("matchLabelExpressions").Index(j).Child("key"), "%s", m)
		}
	}
	return w.all
}

func validateStorageClass(s *storagev1.StorageClass) field.ErrorList {
	return append(storageClass(s), declared(present(s.Provisioner, newPlace("provisioner")))...)
}

func storageClass(s *storagev1.StorageClass) field.ErrorList {
	return join(
		validateMeta(s, false, subdomainName),
		provisioner(s.Provisioner, newPlace("provisioner")),
		classParameters(s.Parameters, newPlace("parameters")),
		given(s.ReclaimPolicy, newPlace("reclaimPolicy"), classReclaimPolicy),
		given(s.VolumeBindingMode, newPlace("volumeBindingMode"), func(m *storagev1.VolumeBindingMode, path *place) field.ErrorList {
			return oneOf(*m, path, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)
		}),
		allowedTopologies(s.AllowedTopologies, newPlace("allowedTopologies")),
	)
}

func classReclaimPolicy(p *corev1.PersistentVolumeReclaimPolicy, path *place) field.ErrorList {
	if *p == "" {
		return nil
	}
	return oneOf(*p, path, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)
}

func validateStorageClassUpdate(next, old *storagev1.StorageClass) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		storageClass(next),
		declaredChange(&next.Provisioner, &old.Provisioner, newPlace("provisioner")),
		declared(present(next.Provisioner, newPlace("provisioner"))),
		declaredChange(&next.Parameters, &old.Parameters, newPlace("parameters")),
		declaredChange(next.ReclaimPolicy, old.ReclaimPolicy, newPlace("reclaimPolicy")),
		declaredChange(next.VolumeBindingMode, old.VolumeBindingMode, newPlace("volumeBindingMode")),
	)
}

// provisioner is the name of a driver, which may be written with capitals.
func provisioner(name string, path *place) field.ErrorList {
	if name == "" {
		return nil
	}
	return invalid(path, strings.ToLower(name), qualifiedProblems(strings.ToLower(name)))
}

// classParameters are for the driver, which alone knows what they mean.
func classParameters(params map[string]string, path *place) field.ErrorList {
	const most, mostBytes = 512, 256 << 10
	if len(params) > most {
		return field.ErrorList{tooLongAt(path, "Provisioner Parameters exceeded max allowed", most)}
	}
	var errs field.ErrorList
	size := 0
	for k, v := range sorted(params) {
		errs = append(errs, when(k == "", invalidAt(path, k, "field can not be empty."))...)
		size += len(k) + len(v)
	}
	return append(errs, when(size > mostBytes, tooLongAt(path, "", mostBytes))...)
}

// allowedTopologies validates where volumes may be made. No two terms may be the same.
func allowedTopologies(terms []corev1.TopologySelectorTerm, path *place) field.ErrorList {
	var errs field.ErrorList
	// Upstream's list of terms seen begins with as many empty ones as there are terms.
	seen := make([]map[string][]string, len(terms))
	for i, t := range terms {
		values, wrong := topologyTerm(&t, path.Index(i).Child("matchLabelExpressions"))
		errs = append(errs, wrong...)
		for _, s := range seen {
			again := maps.EqualFunc(values, s, slices.Equal)
			errs = append(errs, when(again, duplicateAt(path.Index(i).Child("matchLabelExpressions"), ""))...)
		}
		seen = append(seen, values)
	}
	return errs
}

// topologyTerm validates one term, and returns the values for each of its labels, sorted and once.
func topologyTerm(t *corev1.TopologySelectorTerm, path *place) (map[string][]string, field.ErrorList) {
	all := map[string][]string{}
	errs := each(t.MatchLabelExpressions, path, func(r *corev1.TopologySelectorLabelRequirement, path *place) field.ErrorList {
		at, seen := path.Child("values"), taken{}
		errs := when(len(r.Values) == 0, requiredAt(at, ""))
		for i, v := range r.Values {
			errs = append(errs, when(!seen.claim(v), duplicateAt(at.Index(i), v))...)
		}
		errs = append(errs, labelKey(r.Key, path.Child("key"))...)
		_, again := all[r.Key]
		all[r.Key] = slices.Sorted(maps.Keys(seen))
		return append(errs, when(again, duplicateAt(path.Child("key"), r.Key))...)
	})
	return all, errs
}
