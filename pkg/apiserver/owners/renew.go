package owners

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// Kind knows the owners of objects of one kind that are written at one version through one subresource.
type Kind struct {
	version, sub string
	plan         *Plan
	sets         sets
}

// NewKind returns the Kind for objects of obj's type, written at version through the subresource sub, by which what is below the field
// ignored is not written. empty is such an object as the schema sees it.
func NewKind(obj any, empty *typed.TypedValue, version, sub, ignored string) *Kind {
	return &Kind{version: version, sub: sub, plan: NewPlan(obj, empty, ignored), sets: sets{empty: empty}}
}

// mostUpdaters is how many entries of updates an object may have before the library puts the oldest together.
const mostUpdaters = 10

// Updated returns the managedFields of next, which manager makes of old by an update now. False means that the library has to be asked.
func (k *Kind) Updated(old, next metav1.Object, manager string, now time.Time) ([]metav1.ManagedFieldsEntry, bool) {
	entries := old.GetManagedFields()
	if sent := next.GetManagedFields(); k.sub == "" && sent != nil && !slices.EqualFunc(sent, entries, sameEntry) {
		return nil, false
	}
	self := metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: k.version, Subresource: k.sub}
	if len(entries) == 0 {
		return nil, false
	}
	modified, ok := k.plan.Modified(old, next) // first, since it is more often not simple
	if !ok {
		return nil, false
	}
	have, own, ok := k.read(entries, &self)
	if !ok || !covered(modified, have, own) {
		return nil, false
	}
	return renewed(entries, own, len(modified) > 0, now), true
}

// read returns the sets of entries and which of them is self's, -1 if none. False means that they are not plain.
func (k *Kind) read(entries []metav1.ManagedFieldsEntry, self *metav1.ManagedFieldsEntry) (have []*fieldpath.Set, own int, ok bool) {
	own = -1
	updaters := 0
	have = make([]*fieldpath.Set, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.APIVersion != k.version || e.FieldsType != "FieldsV1" || !utf8.ValidString(e.Manager) || !utf8.ValidString(e.Subresource) {
			return nil, own, false
		}
		switch e.Operation {
		case metav1.ManagedFieldsOperationUpdate:
			updaters++
		case metav1.ManagedFieldsOperationApply:
		default:
			return nil, own, false
		}
		if have[i] = k.sets.of(e.FieldsV1); have[i] == nil {
			return nil, own, false
		}
		if sameOwner(e, self) {
			own = i
		}
		for j := range i {
			if sameOwner(&entries[j], e) {
				return nil, own, false
			}
		}
	}
	return have, own, len(entries) > 0 && updaters <= mostUpdaters
}

// covered tells whether all paths are in the set of the entry own, and none in that of another.
func covered(paths []fieldpath.Path, have []*fieldpath.Set, own int) bool {
	for _, p := range paths {
		if own < 0 {
			return false
		}
		for i, set := range have {
			if set.Has(p) != (i == own) {
				return false
			}
		}
	}
	return true
}

// renewed returns entries in their order, own with another time if it has changed something.
func renewed(entries []metav1.ManagedFieldsEntry, own int, changed bool, now time.Time) []metav1.ManagedFieldsEntry {
	out := slices.Clone(entries)
	if changed {
		at := metav1.NewTime(now.UTC())
		out[own].Time = &at
	}
	slices.SortFunc(out, order)
	return out
}

// order is how entries stand in an object: those of applies first, then by their times.
func order(a, b metav1.ManagedFieldsEntry) int {
	if a.Operation != b.Operation {
		return strings.Compare(string(a.Operation), string(b.Operation))
	}
	if at, bt := seconds(&a), seconds(&b); at != bt {
		if at < bt {
			return -1
		}
		return 1
	}
	for _, x := range [][2]string{{a.Manager, b.Manager}, {a.APIVersion, b.APIVersion}} {
		if x[0] != x[1] {
			return strings.Compare(x[0], x[1])
		}
	}
	return strings.Compare(a.Subresource, b.Subresource)
}

// Redate gives the entries that the library has dated by its own clock, since before, the time that it is by ours.
func Redate(entries, before []metav1.ManagedFieldsEntry, now time.Time) {
	at, changed := metav1.NewTime(now.UTC().Truncate(time.Second)), false
	for i := range entries {
		e := &entries[i]
		ahead := e.Time != nil && e.Time.After(at.Time)
		if ahead && !slices.ContainsFunc(before, func(b metav1.ManagedFieldsEntry) bool { return e.Time.Equal(b.Time) && sameOwner(e, &b) }) {
			e.Time, changed = &at, true
		}
	}
	if changed {
		slices.SortFunc(entries, order)
	}
}

func seconds(e *metav1.ManagedFieldsEntry) int64 {
	if e.Time == nil {
		return 0
	}
	return e.Time.Unix()
}

// sameOwner tells whether two entries, which are of one version, are of one owner.
func sameOwner(a, b *metav1.ManagedFieldsEntry) bool {
	return a.Manager == b.Manager && a.Operation == b.Operation && a.Subresource == b.Subresource
}

func sameEntry(a, b metav1.ManagedFieldsEntry) bool {
	return sameOwner(&a, &b) && a.APIVersion == b.APIVersion && a.FieldsType == b.FieldsType && seconds(&a) == seconds(&b) &&
		(a.Time == nil) == (b.Time == nil) && (a.FieldsV1 == b.FieldsV1 || a.FieldsV1 != nil && b.FieldsV1 != nil && a.FieldsV1.Equal(*b.FieldsV1))
}
