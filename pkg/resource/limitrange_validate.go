package resource

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateLimitRange(l *corev1.LimitRange) field.ErrorList {
	seen := taken{}
	return join(
		validateMeta(l, true, subdomainName),
		each(l.Spec.Limits, newPlace("spec", "limits"), func(item *corev1.LimitRangeItem, path *place) field.ErrorList {
			return join(
				limitType(item.Type, path.Child("type")),
				when(!seen.claim(string(item.Type)), duplicateAt(path.Child("type"), item.Type)),
				validateLimits(item, path),
			)
		}),
	)
}

// limitType wants a kind of thing that the API knows, or one with a domain that somebody else does.
func limitType(t corev1.LimitType, path *place) field.ErrorList {
	if errs := qualifiedName(string(t), path); len(errs) > 0 {
		return errs
	}
	switch t {
	case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
		return nil
	}
	return when(!strings.Contains(string(t), "/"), invalidAt(path, t, "must be a standard limit type or fully qualified"))
}

func validateLimits(item *corev1.LimitRangeItem, path *place) field.ErrorList {
	names := func(list corev1.ResourceList, child string) field.ErrorList {
		var errs field.ErrorList
		for name := range sorted(list) {
			errs = append(errs, limitedResource(item.Type, name, path.Child(child).Key(string(name)))...)
		}
		return errs
	}
	errs := join(names(item.Max, "max"), names(item.Min, "min"))
	if item.Type == corev1.LimitTypePod {
		const notOfPods = "may not be specified when `type` is 'Pod'"
		errs = join(errs,
			when(len(item.Default) > 0, forbiddenAt(path.Child("default"), notOfPods)),
			when(len(item.DefaultRequest) > 0, forbiddenAt(path.Child("defaultRequest"), notOfPods)))
	} else {
		errs = join(errs, names(item.Default, "default"), names(item.DefaultRequest, "defaultRequest"))
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := item.Min[corev1.ResourceStorage]
		_, most := item.Max[corev1.ResourceStorage]
		errs = append(errs, when(!least && !most, requiredAt(path.Child("limits"),
			"either minimum or maximum storage value is required, but neither was provided"))...)
	}
	errs = append(errs, names(item.MaxLimitRequestRatio, "maxLimitRequestRatio")...)
	return append(errs, limitsInOrder(item, path)...)
}

func limitedResource(t corev1.LimitType, name corev1.ResourceName, path *place) field.ErrorList {
	if t == corev1.LimitTypePod || t == corev1.LimitTypeContainer {
		return containerResourceName(name, path)
	}
	return resourceName(name, path)
}

// limitsInOrder wants min ≤ default request ≤ default ≤ max, for each resource as far as it has them.
func limitsInOrder(item *corev1.LimitRangeItem, path *place) field.ErrorList {
	all := corev1.ResourceList{}
	lists := []corev1.ResourceList{item.Max, item.Min, item.MaxLimitRequestRatio}
	if item.Type != corev1.LimitTypePod {
		lists = append(lists, item.Default, item.DefaultRequest)
	}
	for _, list := range lists {
		all = completedBy(all, list)
	}
	var errs field.ErrorList
	for name := range sorted(all) {
		l := limits{name: name, path: path, least: pick(item.Min, name), most: pick(item.Max, name), ratio: pick(item.MaxLimitRequestRatio, name)}
		if item.Type != corev1.LimitTypePod {
			l.limit, l.request = pick(item.Default, name), pick(item.DefaultRequest, name)
		}
		errs = join(errs, l.inOrder(), l.ratioFits(), l.equalWhereFixed())
	}
	return errs
}

// limits are what one item says of one resource; what it does not say is nil.
type limits struct {
	name                               corev1.ResourceName
	path                               *place
	least, most, limit, request, ratio *resource.Quantity
}

func pick(list corev1.ResourceList, name corev1.ResourceName) *resource.Quantity {
	if q, ok := list[name]; ok {
		return &q
	}
	return nil
}

func (l limits) at(child string) *place { return l.path.Child(child).Key(string(l.name)) }

func (l limits) inOrder() field.ErrorList {
	return join(
		atMostQuantity(l.least, l.most, "min", "max", l.at("min"), l.least),
		atMostQuantity(l.least, l.request, "min", "default request", l.at("defaultRequest"), l.request),
		atMostQuantity(l.request, l.most, "default request", "max", l.at("defaultRequest"), l.request),
		atMostQuantity(l.request, l.limit, "default request", "default limit", l.at("defaultRequest"), l.request),
		// Which value these two show is upstream's history.
		atMostQuantity(l.least, l.limit, "min", "default", l.at("default"), l.least),
		atMostQuantity(l.limit, l.most, "default", "max", l.at("default"), l.most),
	)
}

// atMostQuantity wants a ≤ b if both are there, and shows the value that is at path.
func atMostQuantity(a, b *resource.Quantity, nameA, nameB string, path *place, shown *resource.Quantity) field.ErrorList {
	if a == nil || b == nil || a.Cmp(*b) <= 0 {
		return nil
	}
	return field.ErrorList{invalidAt(path, *shown, fmt.Sprintf("%s value %s is greater than %s value %s", nameA, a, nameB, b))}
}

// ratioFits wants a ratio of at least 1, and one that the extremes can reach.
func (l limits) ratioFits() field.ErrorList {
	if l.ratio == nil {
		return nil
	}
	at := l.at("maxLimitRequestRatio")
	errs := when(l.ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0,
		invalidAt(at, *l.ratio, fmt.Sprintf("ratio %s is less than 1", l.ratio)))
	if l.least == nil || l.most == nil {
		return errs
	}
	ratio, least, most := float64(l.ratio.Value()), l.least.Value(), l.most.Value()
	if l.ratio.Value() < resource.MaxMilliValue && least < resource.MaxMilliValue && most < resource.MaxMilliValue {
		ratio, least, most = float64(l.ratio.MilliValue())/1000, l.least.MilliValue(), l.most.MilliValue()
	}
	widest := float64(most) / float64(least)
	return append(errs, when(ratio > widest, invalidAt(at, *l.ratio,
		fmt.Sprintf("ratio %s is greater than max/min = %f", l.ratio, widest)))...)
}

// equalWhereFixed wants request and limit to be the same for what may not be promised twice.
func (l limits) equalWhereFixed() field.ErrorList {
	if mayOvercommit(l.name) || l.limit == nil || l.request == nil || l.limit.Cmp(*l.request) == 0 {
		return nil
	}
	return field.ErrorList{invalidAt(l.at("defaultRequest"), *l.request,
		fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", l.limit, l.request, l.name))}
}
