package quota

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

var one = *resource.NewQuantity(1, resource.DecimalSI)

// add adds each quantity of more to that of list.
func add(list, more corev1.ResourceList) {
	for name, q := range more {
		sum := q.DeepCopy()
		if have, ok := list[name]; ok { // whose format, binary or decimal, stays
			sum = have.DeepCopy()
			sum.Add(q)
		}
		list[name] = sum
	}
}

// grown is what next has more than old; what is less, or equal, is left out.
func grown(next, old corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, q := range next {
		if more := q.DeepCopy(); more.Cmp(old[name]) > 0 {
			more.Sub(old[name])
			out[name] = more
		}
	}
	return out
}

// pick is the part of list that has one of the names.
func pick(list corev1.ResourceList, names []corev1.ResourceName) corev1.ResourceList {
	out := corev1.ResourceList{}
	for _, name := range names {
		if q, ok := list[name]; ok {
			out[name] = q
		}
	}
	return out
}

// Equal tells whether two lists name the same quantities, however they are written.
func Equal(a, b corev1.ResourceList) bool {
	return maps.EqualFunc(a, b, func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 })
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}

// text shows a list as errors do: pods=1,services=2.
func text(list corev1.ResourceList) string {
	parts := make([]string, 0, len(list))
	for _, name := range sortedNames(list) {
		q := list[name]
		parts = append(parts, string(name)+"="+q.String())
	}
	return strings.Join(parts, ",")
}

func join(names []corev1.ResourceName) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = string(name)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}
