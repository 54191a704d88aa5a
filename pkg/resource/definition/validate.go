package definition

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Default fills in what the author left out.
func Default(crd *apiextensionsv1.CustomResourceDefinition) {
	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(crd)
}

// Validate checks a new definition.
func Validate(crd *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	in, err := internal(crd)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	name := func(name string, prefix bool) []string {
		bad := apivalidation.NameIsDNSSubdomain(name, prefix)
		if name != in.Spec.Names.Plural+"."+in.Spec.Group {
			bad = append(bad, `must be spec.names.plural+"."+spec.group`)
		}
		return bad
	}
	errs := apivalidation.ValidateObjectMetaAccessor(crd, false, name, field.NewPath("metadata"))
	return append(errs, validate(in, nil, strict())...)
}

// ValidateUpdate checks a changed definition.
func ValidateUpdate(next, old *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	in, err := internal(next)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	was, err := internal(old)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	errs := apivalidation.ValidateObjectMetaAccessorUpdate(next, old, field.NewPath("metadata"))
	return append(errs, validate(in, was, tolerant(in, was))...)
}

// ValidateStatus checks a change of the status.
func ValidateStatus(next, old *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	in, err := internal(next)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	errs := apivalidation.ValidateObjectMetaAccessorUpdate(next, old, field.NewPath("metadata"))
	return append(errs, validateNames(&in.Status.AcceptedNames, field.NewPath("status", "acceptedNames"))...)
}

// internal is crd as the libraries know it. They keep what they are given, so they are given a copy.
func internal(crd *apiextensionsv1.CustomResourceDefinition) (*apiextensions.CustomResourceDefinition, error) {
	out := &apiextensions.CustomResourceDefinition{}
	err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd.DeepCopy(), out, nil)
	return out, err
}

// validate checks everything but the metadata; was is nil for a new definition.
func validate(crd, was *apiextensions.CustomResourceDefinition, t tolerance) field.ErrorList {
	v := &validator{tolerance: t, ctx: context.Background()}
	spec, status := field.NewPath("spec"), field.NewPath("status")
	v.spec(&crd.Spec, spec)
	if was != nil {
		v.immutable(&crd.Spec, &was.Spec, spec)
	}
	v.add(validateNames(&crd.Status.AcceptedNames, status.Child("acceptedNames"))...)
	v.storedVersions(crd.Status.StoredVersions, crd.Spec.Versions, status.Child("storedVersions"))
	v.approval(crd, was)
	if keeps := crd.Spec.PreserveUnknownFields; isTrue(keeps) && (was == nil || !isTrue(was.Spec.PreserveUnknownFields)) {
		v.add(field.Invalid(spec.Child("preserveUnknownFields"), keeps,
			"cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"))
	}
	return v.errs
}

// validator collects what is wrong with a definition.
type validator struct {
	tolerance
	ctx  context.Context
	errs field.ErrorList
}

func (v *validator) add(errs ...*field.Error) { v.errs = append(v.errs, errs...) }

func isTrue(b *bool) bool { return b != nil && *b }

// immutable refuses changes of what says where objects are. The scope and the kind may still change as long as there are none.
func (v *validator) immutable(spec, was *apiextensions.CustomResourceDefinitionSpec, at *field.Path) {
	if v.established {
		v.add(apivalidation.ValidateImmutableField(spec.Scope, was.Scope, at.Child("scope"))...)
		v.add(apivalidation.ValidateImmutableField(spec.Names.Kind, was.Names.Kind, at.Child("names", "kind"))...)
	}
	v.add(apivalidation.ValidateImmutableField(spec.Group, was.Group, at.Child("group"))...)
	v.add(apivalidation.ValidateImmutableField(spec.Names.Plural, was.Names.Plural, at.Child("names", "plural"))...)
}

// storedVersions refuses to forget a version that there may still be objects of.
func (v *validator) storedVersions(stored []string, versions []apiextensions.CustomResourceDefinitionVersion, at *field.Path) {
	if len(stored) == 0 {
		v.add(field.Invalid(at, stored, "must have at least one stored version"))
		return
	}
	places := map[string]int{}
	for i, name := range stored {
		places[name] = i
	}
	for _, version := range versions {
		if _, ok := places[version.Name]; version.Storage && !ok {
			v.add(field.Invalid(at, stored, "must have the storage version "+version.Name))
		}
		delete(places, version.Name)
	}
	for i, name := range stored {
		if at2, missing := places[name]; missing && at2 == i {
			v.add(field.Invalid(at.Index(i), name, fmt.Sprintf("missing from spec.versions; %[1]s was previously a storage version, "+
				"and must remain in spec.versions until a storage migration ensures no data remains persisted in %[1]s and removes %[1]s from status.storedVersions", name)))
		}
	}
}

// approval wants the groups of the community to be used with its consent. That is not asked again if nothing about it has changed.
func (v *validator) approval(crd, was *apiextensions.CustomResourceDefinition) {
	if !apihelpers.IsProtectedCommunityGroup(crd.Spec.Group) {
		return
	}
	state, reason := apihelpers.GetAPIApprovalState(crd.Annotations)
	if was != nil {
		if before, _ := apihelpers.GetAPIApprovalState(was.Annotations); before == state {
			return
		}
	}
	at := field.NewPath("metadata", "annotations").Key(apiextensionsv1.KubeAPIApprovedAnnotation)
	switch state {
	case apihelpers.APIApproved, apihelpers.APIApprovalBypassed:
	case apihelpers.APIApprovalMissing:
		v.add(field.Required(at, reason))
	default:
		v.add(field.Invalid(at, crd.Annotations[apiextensionsv1.KubeAPIApprovedAnnotation], reason))
	}
}
