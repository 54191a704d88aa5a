package resource

import (
	"strconv"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxDiscreteRequests is how many amounts a device can name that may be requested of it.
const maxDiscreteRequests = 10

// deviceCapacity validates how much of a device one request can have. Only devices that are shared can say.
func deviceCapacity(c *resourcev1.DeviceCapacity, shared bool, path *place) field.ErrorList {
	p, path := c.RequestPolicy, path.Child("requestPolicy")
	switch {
	case p == nil:
		return nil
	case !shared:
		return field.ErrorList{forbiddenAt(path, "allowMultipleAllocations must be true")}
	case len(p.ValidValues) > 0 && p.ValidRange != nil:
		return field.ErrorList{forbiddenAt(path,
			`exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)}
	case len(p.ValidValues) > 0 && p.Default == nil:
		return field.ErrorList{requiredAt(path.Child("default"), "required when validValues is defined")}
	case len(p.ValidValues) > 0:
		return discreteRequests(p, c.Value, path.Child("validValues"))
	case p.ValidRange != nil && p.Default == nil:
		return field.ErrorList{requiredAt(path.Child("default"), "required when validRange is defined")}
	case p.ValidRange != nil:
		return requestRange(p.ValidRange, *p.Default, c.Value, path.Child("validRange"))
	}
	return nil
}

func discreteRequests(p *resourcev1.CapacityRequestPolicy, capacity resource.Quantity, path *place) field.ErrorList {
	var errs field.ErrorList
	values := p.ValidValues
	for i := 1; i < len(values); i++ {
		errs = append(errs, when(values[i-1].Cmp(values[i]) > 0,
			invalidAt(path.Index(i), values[i].String(), "values must be sorted in ascending order"))...)
	}
	if len(values) > maxDiscreteRequests {
		errs = append(errs, tooManyAt(path, len(values), maxDiscreteRequests))
	} else {
		seen := taken{}
		errs = append(errs, each(values, path, func(v *resource.Quantity, path *place) field.ErrorList {
			return when(v.Cmp(capacity) > 0, invalidAt(path, v.String(), "option is larger than capacity value: "+capacity.String()))
		})...)
		errs = append(errs, each(values, path, func(v *resource.Quantity, path *place) field.ErrorList {
			key := strconv.FormatInt(v.Value(), 10)
			return when(!seen.claim(key), duplicateAt(path, key))
		})...)
	}
	for i := range values {
		if len(values) <= maxDiscreteRequests && values[i].Cmp(*p.Default) == 0 {
			return errs
		}
	}
	return append(errs, invalidAt(path, p.Default.String(), "default value is not valid according to the requestPolicy"))
}

func requestRange(r *resourcev1.CapacityRequestPolicyRange, usual, capacity resource.Quantity, path *place) field.ErrorList {
	if r.Min == nil {
		return field.ErrorList{requiredAt(path.Child("min"), "required when validRange is defined")}
	}
	compare := func(bad bool, name string, value resource.Quantity, text string, limit resource.Quantity) field.ErrorList {
		return when(bad, invalidAt(path.Child(name), value.String(), text+": "+limit.String()))
	}
	errs := join(
		compare(r.Min.Cmp(capacity) > 0, "min", *r.Min, "min is larger than capacity value", capacity),
		compare(usual.Cmp(*r.Min) < 0, "min", usual, "default is less than min", *r.Min),
	)
	if r.Max != nil {
		errs = append(errs, join(
			compare(r.Min.Cmp(*r.Max) > 0, "max", *r.Min, "min is larger than max", *r.Max),
			compare(r.Max.Cmp(capacity) > 0, "max", *r.Max, "max is larger than capacity value", capacity),
			compare(usual.Cmp(*r.Max) > 0, "max", usual, "default is more than max", *r.Max),
		)...)
	}
	if r.Step == nil {
		return errs
	}
	at, first := path.Child("step"), r.Min.DeepCopy()
	first.Add(*r.Step)
	errs = append(errs, when(first.Cmp(capacity) > 0, invalidAt(at, r.Step.String(),
		"one step "+first.String()+" is larger than capacity value: "+capacity.String()))...)
	errs = append(errs, onStep(usual, r, at)...)
	if r.Max != nil {
		errs = append(errs, onStep(*r.Max, r, at)...)
	}
	return errs
}

// onStep wants value to be reached from the minimum in whole steps. A step of nothing reaches only the minimum.
func onStep(value resource.Quantity, r *resourcev1.CapacityRequestPolicyRange, path *place) field.ErrorList {
	way, step := value.Value()-r.Min.Value(), r.Step.Value()
	off := way != 0
	if step != 0 {
		off = way%step != 0
	}
	return when(off, invalidAt(path, value.String(),
		"value is not a multiple of a given step ("+r.Step.String()+") from ("+r.Min.String()+")"))
}
