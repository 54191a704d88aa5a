package customresource

import (
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What a Go type does to JSON that is decoded into it, the schema does to objects without one: fields that it does not know go, and
// so do nulls where null is no value; metadata are what metadata are, in embedded objects too.

// coercion says how coerce deals with what does not fit.
type coercion struct {
	// report asks for the paths of what was cut off.
	report bool
	// stored objects may be older than the rules: metadata that are none are dropped and not refused, and a missing
	// generation is made up for.
	stored bool
}

// coerce brings u, an object of v, to v's schema.
func (v *version) coerce(u *unstructured.Unstructured, c coercion) (unknown []string, err error) {
	apiVersion, kind := u.GetAPIVersion(), u.GetKind()
	meta, hasMeta, unknown, err := objectmeta.GetObjectMetaWithOptions(u.Object, objectmeta.ObjectMetaOptions{
		DropMalformedFields: c.stored, ReturnUnknownFieldPaths: c.report,
	})
	if err != nil {
		return nil, err
	}
	if !v.keepUnknown {
		unknown = append(unknown, pruning.PruneWithOptions(u.Object, v.structural, true,
			structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: c.report})...)
		defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, v.structural)
	}
	bad, paths := objectmeta.CoerceWithOptions(nil, u.Object, v.structural, false, objectmeta.CoerceOptions{
		DropInvalidFields: c.stored, ReturnUnknownFieldPaths: c.report,
	})
	if bad != nil {
		return nil, bad
	}
	// The schema need not know type and metadata; they are put back as they were.
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	if !hasMeta {
		return append(unknown, paths...), nil
	}
	if c.stored && meta.Generation == 0 {
		meta.Generation = 1
	}
	return append(unknown, paths...), objectmeta.SetObjectMeta(u.Object, meta)
}

// fill puts the schema's defaults where the object says nothing.
func (v *version) fill(u *unstructured.Unstructured) {
	if v.structural != nil {
		defaulting.Default(u.Object, v.structural)
	}
}

// TidyMetadata makes metadata of what an apply has merged. Fields that are none of metadata go.
func TidyMetadata(u *unstructured.Unstructured) error {
	meta, has, _, err := objectmeta.GetObjectMetaWithOptions(u.Object, objectmeta.ObjectMetaOptions{DropMalformedFields: true})
	if err != nil || !has {
		return err
	}
	return objectmeta.SetObjectMeta(u.Object, meta)
}
