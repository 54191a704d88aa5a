package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// limitRanges say what single pods, containers and claims of a namespace may ask for, and what they ask for if they say nothing.
func limitRanges() *Row {
	return Row{
		Resource: "limitranges", Singular: "limitrange", Kind: "LimitRange",
		ShortNames:     []string{"limits"},
		Namespaced:     true,
		Versions:       []Version{servedAs[corev1.LimitRange, corev1.LimitRangeList](corev1.SchemeGroupVersion)},
		Prefix:         "limitranges",
		Columns:        []metav1.TableColumnDefinition{nameColumn, createdAtColumn},
		CreateOnUpdate: true, UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.LimitRange]{
		Default: defaultLimitRange,
		PrepareCreate: func(l *corev1.LimitRange) {
			nameLimitRange(l)
			noneIfEmpty(&l.Spec.Limits)
		},
		PrepareUpdate: func(next, _ *corev1.LimitRange) { noneIfEmpty(&next.Spec.Limits) },
		Validate:      validateLimitRange,
		ValidateUpdate: func(next, old *corev1.LimitRange) field.ErrorList {
			return join(validateMetaUpdate(next, old), validateLimitRange(next))
		},
		Cells: func(l *corev1.LimitRange, _ time.Time) []any {
			return []any{l.Name, createdAt(l)}
		},
	}))
}

// nameLimitRange gives a nameless one a name that nobody else has: upstream draws a UUID, and the object has one already.
func nameLimitRange(l *corev1.LimitRange) { or(&l.Name, string(l.UID)) }

// defaultLimitRange completes the limits of containers from each other, so that readers need to look at one list only.
func defaultLimitRange(l *corev1.LimitRange) {
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		if item.Type == corev1.LimitTypeContainer {
			item.Default = completedBy(item.Default, item.Max)
			item.DefaultRequest = completedBy(item.DefaultRequest, item.Default)
			item.DefaultRequest = completedBy(item.DefaultRequest, item.Min)
		}
		for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
			roundUp(list)
		}
	}
}

// completedBy is list with what only from has.
func completedBy(list, from corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	for name, q := range from {
		if _, ok := list[name]; !ok {
			list[name] = q.DeepCopy()
		}
	}
	return list
}
