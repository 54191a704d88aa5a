package customresource

import (
	"maps"
	"slices"
	"sync/atomic"

	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ids numbers the rows of this process.
var ids atomic.Uint64

// rows returns a row for each version that is served.
func (k *kind) rows() []*resource.Row {
	var out []*resource.Row
	for _, name := range slices.Sorted(maps.Keys(k.versions)) {
		if v := k.versions[name]; v.Served {
			out = append(out, k.row(v))
		}
	}
	return out
}

func (k *kind) row(v *version) *resource.Row {
	r := &resource.Row{
		Resource: k.names.Plural, Singular: k.names.Singular, Kind: k.names.Kind,
		ShortNames: k.names.ShortNames, Categories: k.names.Categories,
		Namespaced: v.namespaced,
		Versions:   []resource.Version{k.served(v)},
		Prefix:     v.gvk.Group + "/" + k.names.Plural,

		Default:        func(o resource.Object) { v.fill(resource.AsCustom(o)) },
		PrepareCreate:  v.prepareCreate,
		PrepareUpdate:  v.prepareUpdate,
		Validate:       v.validate,
		ValidateUpdate: v.validateUpdate,
		Warnings:       warnings,
		Deprecated:     k.deprecation(v),
		Custom: &resource.Custom{
			ID: ids.Add(1), ListKind: k.names.ListKind, Stored: k.stored, Terminating: k.terminating, Types: k.types,
			CheckUpdate: v.checkUpdate,
			Coerce: func(u *unstructured.Unstructured, report bool) ([]string, error) {
				return v.coerce(u, coercion{report: report})
			},
			FromStored: func(u *unstructured.Unstructured) (*unstructured.Unstructured, error) { return k.fromStored(v, u) },
			Convert:    k.convertTo,
			Others:     k.others(v),
			Models:     k.models(v),
		},
	}
	r.Columns, r.Cells = v.columns()
	if len(v.fields) > 0 {
		r.Fields = v.fieldSet
	}
	if v.hasStatus {
		r.Status = &resource.Status{Prepare: prepareStatus, Validate: v.validateStatus}
	}
	if v.scale != nil {
		r.Scale = v.scale.row()
	}
	return r
}

// others are the served versions besides v, as those see v's objects who ask for them in any version.
func (k *kind) others(v *version) []resource.Version {
	var out []resource.Version
	for i := range k.crd.Spec.Versions {
		other := k.versions[k.crd.Spec.Versions[i].Name]
		if other == v || !other.Served {
			continue
		}
		one := k.served(other)
		one.FromStorage, one.ToStorage = k.converting(other), k.converting(v)
		out = append(out, one)
	}
	return out
}

func (k *kind) converting(to *version) func(resource.Object) (resource.Object, error) {
	return func(obj resource.Object) (resource.Object, error) {
		return k.convertTo(resource.AsCustom(obj), to.gvk.GroupVersion())
	}
}

// served is how clients see the version: as itself, without conversion in between.
func (k *kind) served(v *version) resource.Version {
	return resource.Version{
		GroupVersion: v.gvk.GroupVersion(),
		New: func() resource.Object {
			u := &unstructured.Unstructured{Object: map[string]any{}}
			u.SetGroupVersionKind(v.gvk)
			return u
		},
		NewList: func() runtime.Object {
			l := &unstructured.UnstructuredList{}
			l.SetGroupVersionKind(v.gvk.GroupVersion().WithKind(k.names.ListKind))
			return l
		},
	}
}

// fromStored brings what etcd holds to v: to the schema of the version that it is of, whose defaults it gets, and then from there.
func (k *kind) fromStored(v *version, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if was := k.versions[u.GroupVersionKind().Version]; was != nil {
		if _, err := was.coerce(u, coercion{stored: true}); err != nil {
			return nil, err
		}
		was.fill(u)
	}
	return k.convertTo(u, v.gvk.GroupVersion())
}

// convertTo returns u at another version, cut to the schema of that.
func (k *kind) convertTo(u *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error) {
	if u.GroupVersionKind().GroupVersion() == to {
		return u, nil
	}
	v, err := k.check(u.GroupVersionKind().GroupVersion(), to)
	if err != nil {
		return nil, err
	}
	out, err := k.convert.Convert(u, to)
	if err != nil {
		return nil, err
	}
	_, err = v.coerce(out, coercion{})
	return out, err
}

func (v *version) prepareCreate(obj resource.Object) {
	if v.hasStatus {
		delete(resource.AsCustom(obj).Object, "status")
	}
	obj.SetGeneration(1)
}

// prepareUpdate keeps the status as it was, if it is a subresource, and counts changes of anything but metadata.
func (v *version) prepareUpdate(next, old resource.Object) {
	is, was := resource.AsCustom(next).Object, resource.AsCustom(old).Object
	if v.hasStatus {
		keepField(is, was, "status")
	}
	if !equality.Semantic.DeepEqual(withoutMetadata(is), withoutMetadata(was)) {
		next.SetGeneration(old.GetGeneration() + 1)
	}
}

// prepareStatus keeps everything as it was but the status, and who owns it.
func prepareStatus(next, old resource.Object) {
	u := resource.AsCustom(next)
	owners, is := u.GetManagedFields(), u.Object
	u.Object = resource.AsCustom(old).DeepCopy().Object
	u.SetManagedFields(owners)
	keepField(u.Object, is, "status")
}

// keepField makes the field of into what it is in from.
func keepField(into, from map[string]any, name string) {
	if value, ok := from[name]; ok {
		into[name] = value
		return
	}
	delete(into, name)
}

func withoutMetadata(content map[string]any) map[string]any {
	rest := maps.Clone(content)
	delete(rest, "metadata")
	return rest
}

func (v *version) fieldSet(obj resource.Object) map[string]string {
	set := map[string]string{}
	for _, f := range v.fields {
		set[f.name] = f.value(resource.AsCustom(obj).Object)
	}
	return set
}
