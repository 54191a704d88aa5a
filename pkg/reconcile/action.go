package reconcile

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Object is any API object.
type Object interface {
	runtime.Object
	metav1.Object
}

// Key names what a loop works on.
type Key = types.NamespacedName

// KeyOf returns the key of an object.
func KeyOf(o metav1.Object) Key { return Key{Namespace: o.GetNamespace(), Name: o.GetName()} }

// Verb is what an Action does.
type Verb string

// The verbs. Event only tells; Wait asks for another plan after a while.
const (
	Create       Verb = "create"
	Update       Verb = "update"
	UpdateStatus Verb = "update status"
	Patch        Verb = "patch"
	Delete       Verb = "delete"
	Tell         Verb = "event"
	Wait         Verb = "wait"
)

// Action is one step of a plan. It is data: nothing happens until the loop applies it.
type Action struct {
	Verb Verb
	// Object is what is written: as it shall be for create, update and update status, as it was seen for patch and delete.
	Object Object
	// Old is Object as it was seen; only for reading the plan.
	Old Object
	// Reason says why, in words, for people.
	Reason string

	// Patch is the body of a patch, a strategic merge patch; Subresource is what it patches, "" for the object itself.
	Patch       []byte
	Subresource string
	// Options are those of a delete. The UID of Object is always added as a precondition.
	Options metav1.DeleteOptions
	// Living is an object that has to exist, with the same UID and not being deleted, at the very moment of the
	// write. It is read live, because caches lag, and an adoption by a parent that is going away would make an orphan.
	Living Object

	// Done and Failed are the events that are recorded after success and failure; in a Done message %s stands for the
	// name of the written object, in a Failed one %v for the error. A Tell has only Done.
	Done, Failed *Note

	// After is how long a Wait waits.
	After time.Duration
}

// Note is an event to be recorded about an object.
type Note struct {
	About                 Object
	Type, Reason, Message string
}

// Plan is what a loop decided to do, in order. The zero value is a plan to do nothing.
type Plan []Action

// Create appends the creation of o and returns the action, to be completed by the caller.
func (p *Plan) Create(o Object, reason string, args ...any) *Action {
	return p.add(Action{Verb: Create, Object: o}, reason, args)
}

// Update appends an update, if it changes anything. Otherwise it returns an action that nobody applies.
func (p *Plan) Update(old, next Object, reason string, args ...any) *Action {
	return p.change(Update, old, next, reason, args)
}

// UpdateStatus is Update for the status subresource.
func (p *Plan) UpdateStatus(old, next Object, reason string, args ...any) *Action {
	return p.change(UpdateStatus, old, next, reason, args)
}

// Patch appends a strategic merge patch of o.
func (p *Plan) Patch(o Object, body []byte, reason string, args ...any) *Action {
	return p.add(Action{Verb: Patch, Object: o, Patch: body}, reason, args)
}

// Delete appends the deletion of o, and of nothing else that may have its name by then.
func (p *Plan) Delete(o Object, reason string, args ...any) *Action {
	return p.add(Action{Verb: Delete, Object: o}, reason, args)
}

// Tell appends an event.
func (p *Plan) Tell(n Note, reason string, args ...any) {
	p.add(Action{Verb: Tell, Object: n.About, Done: &n}, reason, args)
}

// Wait appends the wish to plan again after d.
func (p *Plan) Wait(d time.Duration, reason string, args ...any) {
	p.add(Action{Verb: Wait, After: d}, reason, args)
}

// change drops what would write the same again: every write costs a flush to disk and wakes all watchers.
func (p *Plan) change(v Verb, old, next Object, reason string, args []any) *Action {
	a := Action{Verb: v, Object: next, Old: old}
	if equality.Semantic.DeepEqual(old, next) {
		return &a
	}
	return p.add(a, reason, args)
}

func (p *Plan) add(a Action, reason string, args []any) *Action {
	a.Reason = reason
	if len(args) > 0 {
		a.Reason = fmt.Sprintf(reason, args...)
	}
	*p = append(*p, a)
	return &(*p)[len(*p)-1]
}

// Target names the object of the action: "ReplicaSet default/web-5d4f". A name to be generated ends in "*".
func (a Action) Target() string {
	if a.Object == nil {
		return ""
	}
	name := a.Object.GetName()
	if name == "" {
		name = a.Object.GetGenerateName() + "*"
	}
	if ns := a.Object.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	return kindOf(a.Object) + " " + name
}

// String is the action in one line: verb, target, reason.
func (a Action) String() string {
	switch a.Verb {
	case Wait:
		return fmt.Sprintf("wait %s: %s", a.After, a.Reason)
	case Tell:
		return fmt.Sprintf("event %s %s %q: %s", a.Target(), a.Done.Reason, a.Done.Message, a.Reason)
	}
	return fmt.Sprintf("%s %s: %s", a.Verb, a.Target(), a.Reason)
}

// Failure is an action that went wrong in the last attempt at a key's plan.
type Failure struct {
	Action Action
	Err    error
}

// FailedTo returns the error of f if its verb is v and its object a T, else nil. It works on a nil Failure.
func FailedTo[T Object](f *Failure, v Verb) error {
	if f == nil || f.Action.Verb != v {
		return nil
	}
	if _, ok := f.Action.Object.(T); !ok {
		return nil
	}
	return f.Err
}
