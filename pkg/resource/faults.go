package resource

import (
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// commonFaults is what is wrong with the metadata of a changed object of any kind. It is looked for with every update, that of a
// subresource included, and reported before what the row finds.
func (r *Row) commonFaults(next, old Object) field.ErrorList {
	at := atMetadata.path()
	return append(apivalidation.ValidateObjectMetaAccessor(unlabelled(next), r.Namespaced, pathSegment, at),
		apivalidation.ValidateObjectMetaAccessorUpdate(unlabelled(next), old, at)...)
}

func pathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// NewFaults is all that is wrong with a new object, which came through v. What others have found before, who see more than the object, is
// reported with it.
func (r *Row) NewFaults(v *Version, obj Object, found field.ErrorList) field.ErrorList {
	errs := found
	for _, check := range []func(Object) field.ErrorList{r.Validate, v.Validate} {
		if check != nil {
			errs = append(errs, check(obj)...)
		}
	}
	return reported(errs)
}

// ChangeFaults is all that is wrong with a change of obj, or, if part is not nil, of that part of it. What others have found is reported
// as in NewFaults, but after what is wrong with the metadata.
func (r *Row) ChangeFaults(v *Version, part *Status, next, old Object, found field.ErrorList, by func() Signature) field.ErrorList {
	var errs field.ErrorList
	if r.Custom == nil {
		errs = r.commonFaults(next, old)
	}
	errs = append(errs, found...)
	if part == nil {
		for _, check := range []func(next, old Object) field.ErrorList{r.ValidateUpdate, v.ValidateUpdate} {
			if check != nil {
				errs = append(errs, check(next, old)...)
			}
		}
		return reported(errs)
	}
	if part.Validate != nil {
		errs = append(errs, part.Validate(next, old)...)
	}
	if part.ValidateSigned != nil {
		errs = append(errs, part.ValidateSigned(next, old, by())...)
	}
	return reported(errs)
}

// reported is errs as the API reports them: declared rules' last, and of the others nothing twice.
func reported(errs field.ErrorList) field.ErrorList {
	if len(errs) < 2 {
		return errs
	}
	said, once := map[string]bool{}, errs[:0:0]
	for _, e := range declaredLast(errs) {
		if e.IsBeta() || !said[e.Error()] {
			once = append(once, e)
		}
		said[e.Error()] = true
	}
	return once
}
