package customresource

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	validpath "k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/warning"
)

var atMetadata = field.NewPath("metadata")

// validate checks a new object: its metadata, its schema, the lists that are sets or maps, and last its rules.
func (v *version) validate(obj resource.Object) field.ErrorList {
	u := resource.AsCustom(obj)
	errs := apivalidation.ValidateObjectMetaAccessor(u, v.namespaced, apivalidation.NameIsDNSSubdomain, atMetadata)
	errs = append(errs, validation.ValidateCustomResource(nil, u.Object, v.schema)...)
	errs = append(errs, v.scale.validateSpec(u)...)
	errs = append(errs, v.scale.validateStatus(u)...)
	errs = append(errs, objectmeta.Validate(context.Background(), nil, u.Object, v.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, u.Object)...)
	return append(errs, v.applyRules(context.Background(), errs, u.Object, nil)...)
}

// validateUpdate checks a changed object. What was wrong before and has not been touched is let be, so that a schema that became
// stricter does not lock up the objects from before.
func (v *version) validateUpdate(next, old resource.Object) field.ErrorList {
	return v.checkUpdate(next, old, false, silent)
}

// validateStatus checks an object of which only the status may have changed.
func (v *version) validateStatus(next, old resource.Object) field.ErrorList {
	return v.checkUpdate(next, old, true, silent)
}

func silent(string) {}

// checkUpdate is both, and warns of rules that are broken but not newly so.
func (v *version) checkUpdate(next, old resource.Object, status bool, warn func(string)) field.ErrorList {
	ctx := warning.WithWarningRecorder(context.Background(), warner(warn))
	if status {
		return v.checkStatus(ctx, next, old)
	}
	return v.checkObject(ctx, next, old)
}

// warner is a warning.Recorder.
type warner func(string)

func (w warner) AddWarning(_, text string) { w(text) }

func (v *version) checkObject(ctx context.Context, next, old resource.Object) field.ErrorList {
	u, was := resource.AsCustom(next), resource.AsCustom(old)
	related := v.relate(u, was)
	errs := v.checkMetadata(u, was)
	errs = append(errs, validation.ValidateCustomResourceUpdate(nil, u.Object, was.Object, v.schema, validation.WithRatcheting(related))...)
	errs = append(errs, v.scale.validateSpec(u)...)
	errs = append(errs, v.scale.validateStatus(u)...)
	errs = append(errs, objectmeta.Validate(context.Background(), nil, u.Object, v.structural, false)...)
	errs = append(errs, v.validateLists(u, was)...)
	return append(errs, v.applyRules(ctx, errs, u.Object, was.Object, cel.WithRatcheting(related))...)
}

func (v *version) checkStatus(ctx context.Context, next, old resource.Object) field.ErrorList {
	u, was := resource.AsCustom(next), resource.AsCustom(old)
	related := v.relate(u, was)
	var ratchet []validation.ValidationOption
	if v.structural != nil {
		ratchet = append(ratchet, validation.WithRatcheting(related.Key("status")))
	}
	errs := v.checkMetadata(u, was)
	if status, ok := u.Object["status"]; ok {
		errs = append(errs, validation.ValidateCustomResourceUpdate(field.NewPath("status"), status, was.Object["status"], v.statusSchema, ratchet...)...)
	}
	errs = append(errs, v.scale.validateStatus(u)...)
	errs = append(errs, v.validateLists(u, was)...)
	return append(errs, v.applyRules(ctx, errs, u.Object, was.Object, cel.WithRatcheting(related))...)
}

// checkMetadata looks at the metadata as upstream does: with the update of any object, and again with that of a custom one. What is
// wrong is said each time.
func (v *version) checkMetadata(u, was *unstructured.Unstructured) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaAccessor(u, v.namespaced, validpath.ValidatePathSegmentName, atMetadata)
	for range 2 {
		errs = append(errs, apivalidation.ValidateObjectMetaAccessorUpdate(u, was, atMetadata)...)
	}
	return errs
}

// relate lets validators find what a value was before.
func (v *version) relate(u, was *unstructured.Unstructured) *common.CorrelatedObject {
	return common.NewCorrelatedObject(u.Object, was.Object, &model.Structural{Structural: v.structural})
}

func (v *version) validateLists(u, was *unstructured.Unstructured) field.ErrorList {
	errs := listtype.ValidateListSetsAndMaps(nil, v.structural, u.Object)
	if len(errs) > 0 && len(listtype.ValidateListSetsAndMaps(nil, v.structural, was.Object)) > 0 {
		return nil
	}
	return errs
}

// blocking are errors after which the rules could say nothing of use, or run for too long.
var blocking = []field.ErrorType{
	field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid,
}

// applyRules evaluates the x-kubernetes-validations of the schema, unless so says what was found before.
func (v *version) applyRules(ctx context.Context, before field.ErrorList, u, was map[string]any, o ...cel.Option) field.ErrorList {
	rules := v.rules()
	if rules == nil {
		return nil
	}
	if slices.ContainsFunc(before, func(e *field.Error) bool { return slices.Contains(blocking, e.Type) }) {
		return field.ErrorList{field.Invalid(nil, nil,
			"some validation rules were not checked because the object was invalid; correct the existing errors to complete validation")}
	}
	var old any
	if was != nil {
		old = was
	}
	errs, _ := rules.Validate(ctx, nil, v.structural, u, old, celconfig.RuntimeCELCostBudget, o...)
	return errs
}

// standardFinalizers need no domain.
var standardFinalizers = []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, string(corev1.FinalizerKubernetes)}

// warnings are about finalizers that were added.
func warnings(next, old resource.Object) []string {
	added := slices.Clone(next.GetFinalizers())
	if old != nil {
		added = slices.DeleteFunc(added, func(f string) bool { return slices.Contains(old.GetFinalizers(), f) })
	}
	slices.Sort(added)
	var out []string
	for _, f := range slices.Compact(added) {
		out = append(out, finalizerWarnings(f)...)
	}
	return out
}

func finalizerWarnings(f string) []string {
	var out []string
	for _, m := range utilvalidation.IsQualifiedName(f) {
		out = append(out, fmt.Sprintf("metadata.finalizers: %q: %s", f, m))
	}
	if strings.Contains(f, "/") || slices.Contains(standardFinalizers, f) {
		return out
	}
	with := ""
	if strings.Contains(f, ".") {
		with = " including a path (/)"
	}
	return append(out, fmt.Sprintf("metadata.finalizers: %q: prefer a domain-qualified finalizer name%s to avoid accidental conflicts with other finalizer writers", f, with))
}
