package customresource

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"bonsai/api"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
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

// readMetaSchemas reads what the metadata of all objects are.
func readMetaSchemas() (map[string]*spec.Schema, error) {
	z, err := gzip.NewReader(bytes.NewReader(api.DefinitionsV3))
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	out := map[string]*spec.Schema{}
	for name, text := range all {
		if !strings.HasPrefix(name, strings.TrimSuffix(objectMetaModel, "ObjectMeta")) {
			continue
		}
		s := &spec.Schema{}
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("read the OpenAPI definition of %s: %w", name, err)
		}
		out[name] = s
	}
	return out, nil
}
