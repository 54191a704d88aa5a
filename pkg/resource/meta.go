package resource

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateMeta is the metadata half of every row's Validate.
func validateMeta(obj Object, namespaced bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	return append(apivalidation.ValidateObjectMetaAccessor(unlabelled(obj), namespaced, name, atMetadata.path()), finalizers(obj)...)
}

// anyFinalizers is validateMeta for kinds whose finalizers may have short names.
func anyFinalizers(obj Object, namespaced bool, name apivalidation.ValidateNameFunc) field.ErrorList {
	return apivalidation.ValidateObjectMetaAccessor(unlabelled(obj), namespaced, name, atMetadata.path())
}

// validateMetaUpdate is the metadata half of every row's ValidateUpdate.
func validateMetaUpdate(next, old Object) field.ErrorList {
	return append(apivalidation.ValidateObjectMetaAccessorUpdate(unlabelled(next), old, atMetadata.path()), finalizers(next)...)
}

// finalizers wants every finalizer to be one of the API's own, or to say by its domain whose it is.
func finalizers(obj metav1.Object) field.ErrorList {
	var errs field.ErrorList
	for i, f := range obj.GetFinalizers() {
		errs = append(errs, standardFinalizer(f, atMetadata.Child("finalizers").Index(i))...)
	}
	return errs
}

func standardFinalizer(name string, path *place) field.ErrorList {
	switch name {
	case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
		return nil
	}
	return when(!strings.Contains(name, "/"),
		invalidAt(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
}

// unlabelled is obj without its labels and annotations if they are right, which apimachinery takes long to find out.
func unlabelled(obj metav1.Object) metav1.Object {
	for k, v := range obj.GetLabels() {
		if !isQualified(k) || !isLabelValue(v) {
			return obj
		}
	}
	size := 0
	for k, v := range obj.GetAnnotations() {
		size += len(k) + len(v)
		if !isQualified(strings.ToLower(k)) || size > apivalidation.TotalAnnotationSizeLimitB {
			return obj
		}
	}
	return labelless{obj}
}

type labelless struct{ metav1.Object }

func (labelless) GetLabels() map[string]string      { return nil }
func (labelless) GetAnnotations() map[string]string { return nil }

// immutable refuses a change of a field that is fixed at create.
func immutable(next, old any, path *place) field.ErrorList {
	return apivalidation.ValidateImmutableField(next, old, path.path())
}

// immutableGo is immutable for a struct of the API's own.
func immutableGo(next, old any, path *place) field.ErrorList {
	return when(!same(next, old), invalidGoAt(path, next, apivalidation.FieldImmutableErrorMsg))
}

// declaredImmutable is immutable for the fields that v1.37 declares to be: their refusal shows no value.
func declaredImmutable(next, old any, path *place) field.ErrorList {
	return when(!same(next, old), invalidAt[any](path, nil, apivalidation.FieldImmutableErrorMsg))
}

// same is equality as the API means it: nil and empty are equal, quantities and times compare by value.
func same(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }

// raiseGeneration counts one more change of what the user wants, if changed says that there is one.
func raiseGeneration(next, old metav1.Object, changed bool) {
	next.SetGeneration(old.GetGeneration())
	if changed {
		next.SetGeneration(old.GetGeneration() + 1)
	}
}

// or sets *p to value if it is the zero value of its type.
func or[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// orPtr sets *p to a pointer to value if it is nil.
func orPtr[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

// noneIfEmpty makes no list of an empty one, as it is shown once it has been stored.
func noneIfEmpty[T any](list *[]T) {
	if len(*list) == 0 {
		*list = nil
	}
}

// invalid turns the messages of one of apimachinery's checks of a value into errors.
func invalid[T any](path *place, value T, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, m := range messages {
		errs = append(errs, invalidAt(path, value, m))
	}
	return errs
}

// sorted iterates over a map in the order of its keys, so that errors come in the same order every time.
func sorted[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		var few [8]K // most maps fit, and their keys need no heap
		keys := few[:0]
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func isTrue(b *bool) bool { return b != nil && *b }
