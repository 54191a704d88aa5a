package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/validate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func runtimeClasses() *Row {
	return Row{
		Resource: "runtimeclasses", Singular: "runtimeclass", Kind: "RuntimeClass",
		Versions: []Version{servedAs[nodev1.RuntimeClass, nodev1.RuntimeClassList](nodev1.SchemeGroupVersion)},
		Prefix:   "runtimeclasses",
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Handler", ""), ageColumn,
		},
	}.with(rules(Rules[*nodev1.RuntimeClass]{
		Default: func(c *nodev1.RuntimeClass) {
			if c.Overhead != nil {
				roundUp(c.Overhead.PodFixed)
			}
		},
		Validate:       validateRuntimeClass,
		ValidateUpdate: validateRuntimeClassUpdate,
		Warnings:       runtimeClassWarnings,
		Cells: func(c *nodev1.RuntimeClass, now time.Time) []any {
			return []any{c.Name, c.Handler, age(c, now)}
		},
	}))
}

func validateRuntimeClass(c *nodev1.RuntimeClass) field.ErrorList {
	return append(runtimeClass(c), runtimeHandler(c.Handler)...)
}

func runtimeHandler(name string) field.ErrorList {
	path := newPlace("handler")
	if name == "" {
		return declared(field.ErrorList{requiredAt(path, "")})
	}
	return declaredFormat(name, path, validate.ShortName)
}

// runtimeClass has the rules but those for the handler.
func runtimeClass(c *nodev1.RuntimeClass) field.ErrorList {
	errs := anyFinalizers(c, false, subdomainName)
	if o := c.Overhead; o != nil {
		errs = append(errs, (&podCheck{}).resources(&corev1.ResourceRequirements{Limits: o.PodFixed}, containerResourceName, newPlace("overhead"))...)
	}
	if s, path := c.Scheduling, newPlace("scheduling"); s != nil {
		errs = join(errs, labelMap(s.NodeSelector, path.Child("nodeSelector")), uniqueTolerations(s.Tolerations, path.Child("tolerations")))
	}
	return errs
}

// uniqueTolerations: a class's tolerations are added to those of pods, where there is one of each.
func uniqueTolerations(list []corev1.Toleration, path *place) field.ErrorList {
	seen := map[corev1.Toleration]bool{}
	return append(validateTolerations(list, path), each(list, path, func(t *corev1.Toleration, path *place) field.ErrorList {
		key := corev1.Toleration{Key: t.Key, Operator: t.Operator, Value: t.Value, Effect: t.Effect}
		twice := seen[key]
		seen[key] = true
		return when(twice, duplicateAt(path, bare(t)))
	})...)
}

func validateRuntimeClassUpdate(next, old *nodev1.RuntimeClass) field.ErrorList {
	if next.Handler == old.Handler {
		return validateRuntimeClass(next)
	}
	return join(undeclared(runtimeHandler(next.Handler)), undeclared(runtimeClass(next)),
		declaredChange(&next.Handler, &old.Handler, newPlace("handler")))
}

func runtimeClassWarnings(next, _ *nodev1.RuntimeClass) []string {
	var w warnings
	if next.Scheduling != nil {
		for key := range sorted(next.Scheduling.NodeSelector) {
			if m, old := oldNodeLabels[key]; old {
				w.add(newPlace("scheduling", "nodeSelector"), "%s", m)
			}
		}
	}
	return w.all
}
