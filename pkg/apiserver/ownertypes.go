package apiserver

import (
	"sync"

	"bonsai/api"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// ownerTypes tells which fields the built-in kinds have, for those who note the owners of fields. client-go has the types of nearly all
// of them at hand; those of definitions, API services and Scales are read from the OpenAPI, which takes longer, and is done when one is
// written for the first time.
type ownerTypes struct {
	known func() managedfields.TypeConverter
	other func() (managedfields.TypeConverter, error)
}

// builtinTypes is parsed once for all who ask.
var builtinTypes = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

// TypesOf returns the schemas for a built-in kind; nil if there are none.
func TypesOf(gvk schema.GroupVersionKind) managedfields.TypeConverter {
	if scheme.Scheme.Recognizes(gvk) {
		return builtinTypes()
	}
	return nil
}

func newOwnerTypes() *ownerTypes {
	return &ownerTypes{
		known: builtinTypes,
		other: sync.OnceValues(otherTypes),
	}
}

func (t *ownerTypes) ObjectToTyped(obj runtime.Object, o ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if gvk := obj.GetObjectKind().GroupVersionKind(); gvk != scaleGVK && scheme.Scheme.Recognizes(gvk) {
		return t.known().ObjectToTyped(obj, o...)
	}
	other, err := t.other()
	if err != nil {
		return nil, err
	}
	return other.ObjectToTyped(obj, o...)
}

// TypedToObject is the same for all kinds: it reads the value alone.
func (t *ownerTypes) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	return t.known().TypedToObject(value)
}

func otherTypes() (managedfields.TypeConverter, error) {
	models, err := api.SchemasV3("io.k8s.apimachinery.", "io.k8s.api.autoscaling.v1.Scale", "io.k8s.apiextensions-apiserver.", "io.k8s.kube-aggregator.")
	if err != nil {
		return nil, err
	}
	return managedfields.NewTypeConverter(models, false)
}
