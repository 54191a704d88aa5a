package auth

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var atSpec = field.NewPath("spec")

// invalid says so as upstream does, which has forgotten the kind by then.
func invalid(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind("").GroupKind(), "", errs)
}

// shown is how the answer shows a question about a path: by the names of upstream's internal type.
func (a attributes) shown() any {
	if a.nonResource == nil {
		return (*authorizationv1.NonResourceAttributes)(nil)
	}
	return struct{ Path, Verb string }{a.nonResource.Path, a.nonResource.Verb}
}

// validateSpec is for reviews that name their subject.
func validateSpec(s authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	what := attributes{s.ResourceAttributes, s.NonResourceAttributes}
	errs := what.oneOfTwo()
	if s.User == "" && len(s.Groups) == 0 {
		errs = append(errs, field.Invalid(atSpec.Child("user"), s.User, "at least one of user or group must be specified"))
	}
	return append(errs, what.selectors()...)
}

func validateLocal(o *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := validateSpec(o.Spec)
	meta := o.ObjectMeta
	meta.Namespace = ""
	if !empty(meta) {
		errs = append(errs, field.Invalid(field.NewPath("metadata"), o.ObjectMeta, "must be empty except for namespace"))
	}
	if r := o.Spec.ResourceAttributes; r != nil && r.Namespace != o.Namespace {
		errs = append(errs, field.Invalid(atSpec.Child("resourceAttributes", "namespace"), r.Namespace, "must match metadata.namespace"))
	}
	if n := o.Spec.NonResourceAttributes; n != nil {
		errs = append(errs, field.Invalid(atSpec.Child("nonResourceAttributes"), attributes{nonResource: n}.shown(), "disallowed on this kind of request"))
	}
	return errs
}

// unnamed wants no metadata: a question is not an object.
func unnamed(meta metav1.ObjectMeta) field.ErrorList {
	if empty(meta) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, "must be empty")}
}

func empty(meta metav1.ObjectMeta) bool {
	meta.ManagedFields = nil
	return equality.Semantic.DeepEqual(metav1.ObjectMeta{}, meta)
}

func (a attributes) validate() field.ErrorList { return append(a.oneOfTwo(), a.selectors()...) }

// oneOfTwo wants a question about a resource or about a path.
func (a attributes) oneOfTwo() field.ErrorList {
	if (a.resource == nil) != (a.nonResource == nil) {
		return nil
	}
	return field.ErrorList{field.Invalid(atSpec, a.shown(), "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
}

// selectors checks those of a question about a list. Operators that this server does not know are let pass: such a requirement is
// left out of the question, which is then about more objects.
func (a attributes) selectors() field.ErrorList {
	if a.resource == nil {
		return nil
	}
	var errs field.ErrorList
	if s := a.resource.FieldSelector; s != nil {
		at := atSpec.Child("resourceAttributes", "fieldSelector")
		errs = oneForm(at, s.RawSelector, len(s.Requirements))
		for i, r := range s.Requirements {
			o := validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
			errs = append(errs, validation.ValidateFieldSelectorRequirement(r, o, at.Child("requirements").Index(i))...)
		}
	}
	if s := a.resource.LabelSelector; s != nil {
		at := atSpec.Child("resourceAttributes", "labelSelector")
		errs = append(errs, oneForm(at, s.RawSelector, len(s.Requirements))...)
		for i, r := range s.Requirements {
			o := validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
			errs = append(errs, validation.ValidateLabelSelectorRequirement(r, o, at.Child("requirements").Index(i))...)
		}
	}
	return errs
}

// oneForm wants a selector as text or as requirements.
func oneForm(at *field.Path, raw string, requirements int) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(at.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(at.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", at))}
	}
	return nil
}
