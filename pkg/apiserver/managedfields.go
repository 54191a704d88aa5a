package apiserver

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/pkg/apiserver/owners"
	"bonsai/pkg/resource"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// fieldTracker keeps metadata.managedFields: which client has set which field of an object, so that server-side apply
// can tell whose value an apply would overwrite. Every write is noted, since the next one may be an apply.
type fieldTracker struct {
	types    *ownerTypes
	now      func() time.Time
	mu       sync.RWMutex
	managers map[trackerKey]*fieldManager
}

// fieldManager is the library's manager for writes of a row at a version through a subresource, and what spares asking it.
type fieldManager struct {
	*managedfields.FieldManager
	kind *owners.Kind // nil if the library has to be asked always
}

type trackerKey struct {
	row     *resource.Row
	version schema.GroupVersion
	sub     string
}

// newFieldTracker returns a tracker. The schemas of the built-in kinds take a while to parse, so that waits for the first write.
func newFieldTracker(now func() time.Time) *fieldTracker {
	return &fieldTracker{
		types:    newOwnerTypes(),
		now:      now,
		managers: map[trackerKey]*fieldManager{},
	}
}

// manager returns the manager for writes of a row at a version through a subresource.
func (f *fieldTracker) manager(row *resource.Row, gvk schema.GroupVersionKind, sub string) (*fieldManager, error) {
	key := trackerKey{row, gvk.GroupVersion(), sub}
	f.mu.RLock()
	m := f.managers[key]
	f.mu.RUnlock()
	if m != nil {
		return m, nil
	}
	hub, v := row.StorageVersion().GroupVersion, versions{row}
	make, types := managedfields.NewDefaultFieldManager, managedfields.TypeConverter(f.types)
	if row.Custom != nil {
		make, types = managedfields.NewDefaultCRDFieldManager, row.Custom.Types
	}
	made, err := make(types, v, v, v, gvk, hub, sub, ignoredFields(row, gvk, sub))
	if err != nil {
		return nil, err
	}
	m = &fieldManager{FieldManager: made, kind: f.kind(row, gvk, sub)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.managers[key] = m
	return m, nil
}

// forget drops what was kept for a row that is not served any longer.
func (f *fieldTracker) forget(row *resource.Row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.managers, func(k trackerKey, _ *fieldManager) bool { return k.row == row })
}

// kind is what finds out the owners of an update's fields where that is simple; nil where it never is.
func (f *fieldTracker) kind(row *resource.Row, gvk schema.GroupVersionKind, sub string) *owners.Kind {
	if row.Custom != nil || gvk != row.GVK() || row.Unowned[sub] != nil {
		return nil
	}
	obj := row.StorageVersion().New()
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	empty, err := f.types.ObjectToTyped(obj)
	if err != nil {
		return nil
	}
	usual := strings.Join(ignored(row, sub), "") // one, or none
	return owners.NewKind(obj, empty, gvk.GroupVersion().String(), sub, usual)
}

// ignored are the fields that a write through sub does not change, whatever it says, and thus cannot own.
func ignored(row *resource.Row, sub string) []string {
	switch paths, told := row.Unowned[sub]; {
	case told:
		return paths
	case row.Status == nil:
		return nil
	case sub == "status":
		return []string{"spec"}
	}
	return []string{"status"}
}

// ignoredFields is ignored as the library wants it.
func ignoredFields(row *resource.Row, gvk schema.GroupVersionKind, sub string) map[fieldpath.APIVersion]fieldpath.Filter {
	paths := ignored(row, sub)
	if len(paths) == 0 {
		return nil
	}
	set := fieldpath.NewSet()
	for _, path := range paths {
		var parts []any
		for name := range strings.SplitSeq(path, ".") {
			parts = append(parts, name)
		}
		set.Insert(fieldpath.MakePathOrDie(parts...))
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(gvk.GroupVersion().String()): fieldpath.NewExcludeSetFilter(set)}
}

// created notes that manager has set all of obj's fields.
func (f *fieldTracker) created(t *target, obj resource.Object, manager string) {
	f.track(t, "", obj, t.row.StorageVersion().New(), manager)
	datedNow(obj, f.now())
}

// datedNow gives all of obj's managedFields the second that it is now.
func datedNow(obj resource.Object, now time.Time) {
	at := metav1.NewTime(now.UTC().Truncate(time.Second))
	owners := obj.GetManagedFields()
	for i := range owners {
		owners[i].Time = &at
	}
	obj.SetManagedFields(owners)
}

// updated notes that manager has set what differs between next and old.
func (f *fieldTracker) updated(t *target, sub string, next, old resource.Object, manager string) {
	if m, err := f.manager(t.row, t.gvk(), sub); err == nil && m.kind != nil {
		if entries, ok := m.kind.Updated(old, next, knownAs(manager), f.now()); ok {
			next.SetManagedFields(entries)
			return
		}
	}
	shownNext, shownOld := differing(next, old)
	f.track(t, sub, shownNext, shownOld, manager)
	next.SetManagedFields(shownNext.GetManagedFields())
}

// knownAs is the name that the library gives to a manager without one.
func knownAs(manager string) string { return cmp.Or(manager, "unknown") }

// track writes next's managedFields. A failure leaves those of old: a write must not fail because of its bookkeeping.
func (f *fieldTracker) track(t *target, sub string, next, old resource.Object, manager string) {
	old.GetObjectKind().SetGroupVersionKind(t.row.GVK())
	m, err := f.manager(t.row, t.gvk(), sub)
	if err != nil {
		next.SetManagedFields(old.GetManagedFields())
		return
	}
	m.UpdateNoErrors(old, next, manager)
	f.redate(next, old.GetManagedFields())
}

// redate goes by our clock where the library has gone by its own.
func (f *fieldTracker) redate(obj metav1.Object, before []metav1.ManagedFieldsEntry) {
	entries := obj.GetManagedFields()
	owners.Redate(entries, before, f.now())
	obj.SetManagedFields(entries)
}

// apply merges what manager wants into old, by the owners of the fields. want is not changed.
func (f *fieldTracker) apply(t *target, sub string, old resource.Object, want *unstructured.Unstructured, manager string, force bool) (resource.Object, error) {
	m, err := f.manager(t.row, t.gvk(), sub)
	if err != nil {
		return nil, err
	}
	if m.kind != nil && want.GroupVersionKind() == t.gvk() && !tellsKubectl(old, manager) && m.kind.Applied(old, want.Object, manager, f.now()) {
		return old, nil
	}
	before := old.GetManagedFields()
	merged, err := m.Apply(old, want.DeepCopy(), manager, force)
	if err != nil {
		return nil, err
	}
	f.redate(merged.(resource.Object), before)
	return merged.(resource.Object), nil
}

// tellsKubectl tells whether an apply by manager also changes the annotation from which kubectl's own apply knows what it has applied.
func tellsKubectl(obj resource.Object, manager string) bool {
	return manager == "kubectl" && obj.GetAnnotations()[corev1.LastAppliedConfigAnnotation] != ""
}

// sameOwners tells whether a and b differ in nothing but times.
func sameOwners(a, b []metav1.ManagedFieldsEntry) bool {
	return slices.EqualFunc(a, b, func(x, y metav1.ManagedFieldsEntry) bool {
		return x.Manager == y.Manager && x.Operation == y.Operation && x.APIVersion == y.APIVersion &&
			x.Subresource == y.Subresource && x.FieldsType == y.FieldsType && sameFields(x.FieldsV1, y.FieldsV1)
	})
}

func sameFields(a, b *metav1.FieldsV1) bool {
	return a == b || a != nil && b != nil && a.Equal(*b)
}

// versions lets apimachinery convert between the versions of one kind.
type versions struct{ row *resource.Row }

// version finds one of the kind's versions.
func (v versions) version(gvk schema.GroupVersionKind) (*resource.Version, error) {
	for i := range v.row.Versions {
		if ver := &v.row.Versions[i]; ver.WithKind(v.row.Kind) == gvk {
			return ver, nil
		}
	}
	return nil, runtime.NewNotRegisteredErrForKind("table of kinds", gvk)
}

// New returns an empty object of a version.
func (v versions) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	ver, err := v.version(gvk)
	if err != nil {
		return nil, err
	}
	obj := ver.New()
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return obj, nil
}

// Default fills in what the object leaves out.
func (v versions) Default(in runtime.Object) {
	if obj, typed := in.(resource.Object); typed && v.row.Default != nil && obj.GetObjectKind().GroupVersionKind() == v.row.GVK() {
		v.row.Default(obj)
	}
}

// ConvertToVersion returns in at one of the versions of target; in itself if it is there already.
func (v versions) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	from := in.GetObjectKind().GroupVersionKind()
	// Events are served in two groups: that in belongs to another than target's does not mean that it cannot get there.
	kinds := []schema.GroupVersionKind{from}
	for _, ver := range v.row.Versions {
		kinds = append(kinds, ver.WithKind(v.row.Kind))
	}
	to, ok := target.KindForGroupVersionKinds(kinds)
	if !ok {
		return nil, runtime.NewNotRegisteredErrForTarget("table of kinds", nil, target)
	}
	obj, err := v.typed(in, from)
	if err != nil || from == to {
		return obj, err
	}
	if v.row.Custom != nil {
		return v.row.Custom.Convert(resource.AsCustom(obj), to.GroupVersion())
	}
	source, err := v.version(from)
	if err != nil {
		return nil, err
	}
	dest, err := v.version(to)
	if err != nil {
		return nil, err
	}
	if source.ToStorage != nil {
		if obj, err = source.ToStorage(obj); err != nil {
			return nil, err
		}
	}
	if dest.FromStorage != nil {
		if obj, err = dest.FromStorage(obj); err != nil {
			return nil, err
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(to)
	return obj, nil
}

// typed returns in as an object of its Go type.
func (v versions) typed(in runtime.Object, gvk schema.GroupVersionKind) (resource.Object, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok || v.row.Custom != nil {
		return in.(resource.Object), nil
	}
	obj, err := v.New(gvk)
	if err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, obj); err != nil {
		return nil, fmt.Errorf("unable to convert unstructured object to %v: %w", gvk, err)
	}
	return obj.(resource.Object), nil
}

// Convert is part of apimachinery's interface; nothing here calls it.
func (v versions) Convert(in, out, _ any) error {
	return fmt.Errorf("convert %T to %T: only conversion to a version is supported", in, out)
}

// ConvertFieldLabel is part of apimachinery's interface; rows say themselves which fields can be selected.
func (v versions) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
