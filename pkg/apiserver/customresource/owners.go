package customresource

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// typeConverter tells which fields an object has, and how lists and maps merge, for those who note the owners of fields. It is made
// when the first object is written.
type typeConverter struct {
	make func() (managedfields.TypeConverter, error)
}

func newTypeConverter(k *kind) *typeConverter {
	return &typeConverter{sync.OnceValues(func() (managedfields.TypeConverter, error) {
		models, err := k.definitions()
		if err != nil {
			return nil, err
		}
		return managedfields.NewTypeConverter(models, k.crd.Spec.PreserveUnknownFields)
	})}
}

func (c *typeConverter) ObjectToTyped(obj runtime.Object, o ...typed.ValidationOptions) (*typed.TypedValue, error) {
	made, err := c.make()
	if err != nil {
		return nil, err
	}
	return made.ObjectToTyped(obj, o...)
}

func (c *typeConverter) TypedToObject(value *typed.TypedValue) (runtime.Object, error) {
	made, err := c.make()
	if err != nil {
		return nil, err
	}
	return made.TypedToObject(value)
}
