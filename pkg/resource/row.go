package resource

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Object is any API object: a pointer to a type of k8s.io/api with its metadata.
type Object interface {
	runtime.Object
	metav1.Object
}

// Row is all that the API server knows of one kind. Its functions work on the storage version, are pure, and
// may be called concurrently. Nil functions do nothing.
type Row struct {
	// Resource is the plural of the URL ("pods"), Singular that of `kubectl get pod`.
	Resource, Singular, Kind string
	ShortNames, Categories   []string
	Namespaced               bool
	// Versions are the served ones; the first is the storage version. Converting is between it and the others.
	Versions []Version
	// Kept, if not empty, is the older version that the bytes in etcd are marked with, so that a server of the release before can
	// read them; but for what is in JSON, they are the same as those of the storage version.
	Kept schema.GroupVersion
	// InJSON, if not nil, says that etcd holds objects of the kind in JSON.
	InJSON *InJSON
	// Prefix is the place below /registry/, upstream's: "pods", "minions", "services/specs".
	Prefix string

	// Default fills in what the client left out, on every decode of a client's object.
	Default func(Object)
	// Unreadable, if not nil, says why a client's object cannot be read although it has the kind's form.
	Unreadable func(Object) error
	// Restore fills in, on every decode of a stored object, what the bytes in etcd do not say and the API shows.
	Restore func(Object)
	// PrepareCreate clears what a client may not set at create (status), PrepareUpdate what it may not change
	// with an update of the main resource (status again) and raises the generation.
	PrepareCreate func(obj Object)
	PrepareUpdate func(next, old Object)
	// Sign, if not nil, notes after PrepareCreate who makes the object and when; SignUpdate, after PrepareUpdate, who
	// changes it, and that of a Status, who changes that.
	Sign       func(obj Object, by Signature)
	SignUpdate func(next, old Object, by Signature)
	// Validate is for create and covers everything, metadata included; ValidateUpdate covers everything for
	// an update, what may not change included.
	Validate       func(obj Object) field.ErrorList
	ValidateUpdate func(next, old Object) field.ErrorList
	// Alike, if not nil, says that for Validate and Warnings of a new object like obj one name is as good as another, as long as it is a
	// DNS label: what is found out about one then holds for all that differ in nothing but name, uid and times.
	Alike func(obj Object) bool
	// Warnings are sent as Warning headers; old is nil on create.
	Warnings func(next, old Object) []string
	// Deprecated, if not empty, is the warning that every request for the kind is answered with.
	Deprecated string
	// Fields are the selectable ones, in a map of the caller's own, besides metadata.name and metadata.namespace
	// (FieldSet has all); Indexed names those that the store looks up instead of trying.
	Fields  func(obj Object) map[string]string
	Indexed []string
	// Columns and Cells are the table that kubectl get prints.
	Columns []metav1.TableColumnDefinition
	Cells   func(obj Object, now time.Time) []any
	// Together, if not nil, is what a list adds to the lines of its objects: something that none of them shows by itself, or another order.
	Together func(objs []Object, lines []metav1.TableRow)
	// RowConditions mark a line of that table, as that of a pod which has run to its end.
	RowConditions func(obj Object) []metav1.TableRowCondition

	// Status, if not nil, is the status subresource; Scale the scale subresource. Other subresources
	// (binding, log, token, …) have handlers in the API server; Subresources lists them for discovery.
	Status       *Status
	Scale        *Scale
	Subresources []Subresource

	// Grace returns the seconds between the delete request and removal; nil, or 0, means at once. obj is the
	// current state, asked is the client's gracePeriodSeconds or nil.
	Grace func(obj Object, asked *int64) int64
	// DeleteReturnsObject answers a delete with the object as it last was, where most kinds answer with a Status.
	DeleteReturnsObject bool
	// PrepareDelete changes an object that a delete marks but does not yet remove. Held says that something besides
	// metadata.finalizers keeps it: a namespace stays until its spec.finalizers are gone.
	PrepareDelete func(obj Object)
	Held          func(obj Object) bool
	// TTL after which etcd drops the object; nil keeps it.
	TTL func(obj Object) time.Duration
	// HiddenAnnotation, if not empty, is shown with the whole object only, not where there is nothing but its metadata.
	HiddenAnnotation string
	// Unowned are, by subresource ("" for the object itself), the fields that a write through it leaves as they are, whatever it says, so
	// that its author does not own them: "status.conditions". Where nothing is said, they are the status, and for a write of the
	// status the spec.
	Unowned map[string][]string
	// CreateOnUpdate lets PUT make the object; UnconditionalUpdate lets PUT without resourceVersion replace it.
	CreateOnUpdate, UnconditionalUpdate bool
	// DefaultsToOrphan makes orphaning the default propagation policy: for Jobs and ReplicationControllers, as ever.
	DefaultsToOrphan bool
	// OrphanWarning, if not empty, is for those who delete without saying what becomes of the dependents.
	OrphanWarning string
	// Custom is set for kinds that a CustomResourceDefinition defines.
	Custom *Custom
	// Verbs overrides the usual eight where a kind serves fewer.
	Verbs []string
}

// Version is one served version of a kind. ToStorage and FromStorage are nil for the storage version itself.
type Version struct {
	schema.GroupVersion
	New         func() Object
	NewList     func() runtime.Object
	ToStorage   func(Object) (Object, error)
	FromStorage func(Object) (Object, error)
	// Validate and ValidateUpdate, if not nil, add what holds only for requests through this version. They are given
	// objects of the storage version.
	Validate       func(obj Object) field.ErrorList
	ValidateUpdate func(next, old Object) field.ErrorList
	// FieldNames, if not nil, are the names that field selectors of this version have for the row's Fields.
	FieldNames map[string]string
}

// servedAs is a version whose Go types are T and, for lists, L.
func servedAs[T, L any](gv schema.GroupVersion) Version {
	return Version{
		GroupVersion: gv,
		New:          func() Object { return any(new(T)).(Object) },
		NewList:      func() runtime.Object { return any(new(L)).(runtime.Object) },
	}
}

// Status is an update of a part of the object, mostly of its status: Prepare keeps everything else as it is in old.
type Status struct {
	Prepare  func(next, old Object)
	Sign     func(next, old Object, by Signature)
	Validate func(next, old Object) field.ErrorList
	// ValidateSigned, if not nil, adds what depends on who asks, or when.
	ValidateSigned func(next, old Object, by Signature) field.ErrorList
}

// Signature is who makes a request, and when. It is the only thing that rows learn of a request besides its objects: a
// certificate request says who wants the certificate, a volume when it changed its phase.
type Signature struct {
	Now       metav1.Time
	User, UID string
	Groups    []string
	Extra     map[string][]string
}

// Scale reads and writes the number of replicas; the paths are for discovery and the apply machinery.
type Scale struct {
	Get func(obj Object) ScaleState
	Set func(obj Object, replicas int32)
	// ReplicasPath is that of the spec, "spec.replicas".
	ReplicasPath string
	// Lacks, if not nil, says what is missing for obj to have a Scale.
	Lacks func(obj Object) error
}

// ScaleState is what autoscaling/v1 Scale shows.
type ScaleState struct {
	Spec, Status int32
	Selector     string
}

// Subresource is one line of discovery. Kind and GroupVersion are those of its body: pods/binding takes a v1 Binding.
type Subresource struct {
	Name         string
	Kind         string
	GroupVersion schema.GroupVersion
	Verbs        []string
	// Update, if not nil, says that the body is the object itself, and what of it this subresource may change.
	Update *Status
}

// StorageVersion is the version that etcd holds.
func (r *Row) StorageVersion() Version { return r.Versions[0] }

// GVK is the kind at its storage version.
func (r *Row) GVK() schema.GroupVersionKind { return r.Versions[0].WithKind(r.Kind) }

// KeptGVK is the kind at the version that etcd's bytes are marked with.
func (r *Row) KeptGVK() schema.GroupVersionKind {
	if !r.Kept.Empty() {
		return r.Kept.WithKind(r.Kind)
	}
	return r.GVK()
}

// Group is the API group of the storage version. Events alone are served in two groups.
func (r *Row) Group() string { return r.Versions[0].Group }

// Rules are a Row's functions written for the kind's own Go type, so that rows need no casts.
type Rules[T Object] struct {
	Default        func(T)
	Unreadable     func(T) error
	PrepareCreate  func(T)
	PrepareUpdate  func(next, old T)
	Sign           func(T, Signature)
	SignUpdate     func(next, old T, by Signature)
	Validate       func(T) field.ErrorList
	ValidateUpdate func(next, old T) field.ErrorList
	Alike          func(T) bool
	Warnings       func(next, old T) []string
	Fields         func(T) map[string]string
	Cells          func(T, time.Time) []any
	Together       func([]T, []metav1.TableRow)
	RowConditions  func(T) []metav1.TableRowCondition
	PrepareStatus  func(next, old T)
	SignStatus     func(next, old T, by Signature)
	ValidateStatus func(next, old T) field.ErrorList
	Grace          func(T, *int64) int64
	PrepareDelete  func(T)
	Held           func(T) bool
}

// with fills in r's functions from t.
func (r Row) with(fill func(*Row)) *Row {
	fill(&r)
	return &r
}

// rules erases the Go type of t. Usage: Row{…}.with(rules(Rules[*corev1.Pod]{…})).
func rules[T Object](t Rules[T]) func(*Row) {
	return func(r *Row) {
		r.Default = one(t.Default)
		if t.Unreadable != nil {
			r.Unreadable = func(o Object) error { return t.Unreadable(o.(T)) }
		}
		r.PrepareCreate = one(t.PrepareCreate)
		r.PrepareUpdate = two(t.PrepareUpdate)
		if t.Validate != nil {
			r.Validate = func(o Object) field.ErrorList { return t.Validate(o.(T)) }
		}
		r.ValidateUpdate = twoErrs(t.ValidateUpdate)
		if t.Alike != nil {
			r.Alike = func(o Object) bool { return t.Alike(o.(T)) }
		}
		if t.Warnings != nil {
			r.Warnings = func(next, old Object) []string {
				o, _ := old.(T)
				return t.Warnings(next.(T), o)
			}
		}
		if t.Fields != nil {
			r.Fields = func(o Object) map[string]string { return t.Fields(o.(T)) }
		}
		if t.Cells != nil {
			r.Cells = func(o Object, now time.Time) []any { return t.Cells(o.(T), now) }
		}
		if t.Together != nil {
			r.Together = func(objs []Object, lines []metav1.TableRow) {
				all := make([]T, len(objs))
				for i, o := range objs {
					all[i] = o.(T)
				}
				t.Together(all, lines)
			}
		}
		if t.RowConditions != nil {
			r.RowConditions = func(o Object) []metav1.TableRowCondition { return t.RowConditions(o.(T)) }
		}
		if t.Sign != nil {
			r.Sign = func(o Object, by Signature) { t.Sign(o.(T), by) }
		}
		r.SignUpdate = twoSigned(t.SignUpdate)
		if t.PrepareStatus != nil {
			r.Status = &Status{Prepare: two(t.PrepareStatus), Sign: twoSigned(t.SignStatus), Validate: twoErrs(t.ValidateStatus)}
		}
		r.PrepareDelete = one(t.PrepareDelete)
		if t.Held != nil {
			r.Held = func(o Object) bool { return t.Held(o.(T)) }
		}
		if t.Grace != nil {
			r.Grace = func(o Object, asked *int64) int64 { return t.Grace(o.(T), asked) }
		}
	}
}

func one[T Object](f func(T)) func(Object) {
	if f == nil {
		return nil
	}
	return func(o Object) { f(o.(T)) }
}

func two[T Object](f func(T, T)) func(Object, Object) {
	if f == nil {
		return nil
	}
	return func(a, b Object) { f(a.(T), b.(T)) }
}

func twoErrs[T Object](f func(T, T) field.ErrorList) func(Object, Object) field.ErrorList {
	if f == nil {
		return nil
	}
	return func(a, b Object) field.ErrorList { return f(a.(T), b.(T)) }
}

func twoSigned[T Object](f func(T, T, Signature)) func(Object, Object, Signature) {
	if f == nil {
		return nil
	}
	return func(a, b Object, by Signature) { f(a.(T), b.(T), by) }
}
