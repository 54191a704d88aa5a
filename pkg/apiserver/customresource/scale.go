package customresource

import (
	"fmt"
	"math"

	"bonsai/pkg/resource"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// scale is where an object keeps what autoscaling/v1 Scale shows.
type scale struct {
	spec, status, selector string
}

func newScale(s *apiextensionsv1.CustomResourceSubresourceScale) *scale {
	if s == nil {
		return nil
	}
	made := &scale{spec: s.SpecReplicasPath, status: s.StatusReplicasPath}
	if s.LabelSelectorPath != nil {
		made.selector = *s.LabelSelectorPath
	}
	return made
}

// row is the subresource as rows have it. Paths that lead to something else than numbers are refused when an object is written, so
// that here they count as leading nowhere.
func (s *scale) row() *resource.Scale {
	return &resource.Scale{
		Get: func(obj resource.Object) resource.ScaleState {
			content := resource.AsCustom(obj).Object
			want, _, _ := unstructured.NestedInt64(content, fieldsOf(s.spec)...)
			is, _, _ := unstructured.NestedInt64(content, fieldsOf(s.status)...)
			state := resource.ScaleState{Spec: int32(want), Status: int32(is)}
			if s.selector != "" {
				state.Selector, _, _ = unstructured.NestedString(content, fieldsOf(s.selector)...)
			}
			return state
		},
		Set: func(obj resource.Object, replicas int32) {
			// It fails where the path leads through what is no object, and that is what validation will say.
			_ = unstructured.SetNestedField(resource.AsCustom(obj).Object, int64(replicas), fieldsOf(s.spec)...)
		},
		Lacks: func(obj resource.Object) error {
			_, found, err := unstructured.NestedInt64(resource.AsCustom(obj).Object, fieldsOf(s.spec)...)
			if err == nil && !found {
				err = fmt.Errorf("the spec replicas field %q does not exist", s.spec)
			}
			return err
		},
		ReplicasPath: s.spec[min(1, len(s.spec)):],
	}
}

func (s *scale) validateSpec(u *unstructured.Unstructured) field.ErrorList {
	if s == nil {
		return nil
	}
	return validateReplicas(u, s.spec)
}

func (s *scale) validateStatus(u *unstructured.Unstructured) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := validateReplicas(u, s.status)
	if s.selector != "" {
		if text, _, err := unstructured.NestedString(u.Object, fieldsOf(s.selector)...); err != nil {
			errs = append(errs, field.Invalid(field.NewPath(s.selector), text, err.Error()))
		}
	}
	return errs
}

func validateReplicas(u *unstructured.Unstructured, at string) field.ErrorList {
	path := field.NewPath(at)
	n, _, err := unstructured.NestedInt64(u.Object, fieldsOf(at)...)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, n, err.Error())}
	case n < 0:
		return field.ErrorList{field.Invalid(path, n, "should be a non-negative integer")}
	case n > math.MaxInt32:
		return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("should be less than or equal to %v", math.MaxInt32))}
	}
	return nil
}
