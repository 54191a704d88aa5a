// Package admission makes the last changes to an object, and the last refusals, before the store.
//
// A plugin is a file named after it, with the rules of one concern; default.go lists them in upstream's order, which matters: what one
// fills in, the next may judge. All plugins first get to change the object (Admit), then, when it has been validated, to refuse
// it (Validate). They know no store: what they look up they get by name (Getter), or follow (follow.go) if they look at it with
// every request, so that a plugin without anything to do costs next to nothing.
package admission

import (
	"context"
	"time"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Operation is what is about to happen to an object.
type Operation string

// The operations.
const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE"
	Delete  Operation = "DELETE"
	Connect Operation = "CONNECT"
)

// Attributes are all that a plugin knows of a request.
type Attributes struct {
	Operation Operation
	// Verb is what the user asked to do, which is more than the operation: "patch" is an Update too.
	Verb string
	Row  *resource.Row
	// Version is the one that the client speaks; nil means the storage version. Object and Old are at the storage version,
	// Show and Take tell how to go between the two.
	Version         *resource.Version
	Subresource     string
	Namespace, Name string
	// PathName is the name that the request is about by its URL: empty if it only brings an object.
	PathName string
	// Object is what will be stored, and may be changed by Admit; nil on delete. It is a resource.Object for all but
	// some subresources (Binding, Eviction, TokenRequest). Old is the present state, nil on create.
	Object runtime.Object
	Old    runtime.Object
	// Lens, if not nil, is how clients of the subresource see the object.
	Lens *Lens
	// Options are those of the request, with their kind: CreateOptions, UpdateOptions (also of patches) or DeleteOptions.
	Options runtime.Object
	User    auth.User
	DryRun  bool
	// To hears what a plugin has to say besides yes and no; nil if nobody listens.
	To Listener

	reinvocation reinvocation
	// Charge is set by Validate if something has to be written together with the object, which is then written by it: it calls
	// commit with what that is, and again with something newer if meanwhile that has changed. Commit returns the revision it made.
	Charge func(ctx context.Context, commit func(with *store.Txn) (rev int64, err error)) error
}

// Listener takes what plugins say about a request. It is not called concurrently.
type Listener interface {
	// Warn tells the client.
	Warn(text string)
	// Annotate tells the audit log. Keys that begin with PatchAnnotation hold parts of the object, which is for those who
	// log whole requests.
	Annotate(key, value string)
	// Elsewhere says for how long the request has waited for what is not of this server: webhooks that change or that refuse.
	Elsewhere(mutating, validating time.Duration)
}

// PatchAnnotation begins the keys of annotations with what webhooks have changed.
const PatchAnnotation = "patch.webhook.admission.k8s.io/"

// Warn tells the client, if it listens.
func (a *Attributes) Warn(text string) {
	if a.To != nil {
		a.To.Warn(text)
	}
}

// Annotate tells the audit log, if there is one.
func (a *Attributes) Annotate(key, value string) {
	if a.To != nil {
		a.To.Annotate(key, value)
	}
}

// Elsewhere says for how long the request has waited for what is not of this server.
func (a *Attributes) Elsewhere(mutating, validating time.Duration) {
	if a.To != nil {
		a.To.Elsewhere(mutating, validating)
	}
}

// Plugin is one step of admission. Admit may change a.Object and refuse; Validate, called after every Admit has run,
// may only refuse. Refusals are *apierrors.StatusError.
type Plugin interface {
	Name() string
	Admit(ctx context.Context, a *Attributes) error
	Validate(ctx context.Context, a *Attributes) error
}

// Finder is a plugin that finds fault with an object by what the row cannot see: other objects, or the rights of the user. It is asked
// before the row, and what it finds is told to the client together with what the row finds.
type Finder interface {
	Find(ctx context.Context, a *Attributes) field.ErrorList
}

// Finders are asked in their order.
type Finders []Finder

// Find is all that they find.
func (fs Finders) Find(ctx context.Context, a *Attributes) field.ErrorList {
	var errs field.ErrorList
	for _, f := range fs {
		errs = append(errs, f.Find(ctx, a)...)
	}
	return errs
}

// Chain is the plugins in their order.
type Chain []Plugin

// Admit runs the changing half of every plugin, in order; and once more, if what users have configured has changed the object:
// the plugins before may have to say something about that.
func (c Chain) Admit(ctx context.Context, a *Attributes) error {
	return inRounds(a, func() error { return c.admit(ctx, a) })
}

func inRounds(a *Attributes, admit func() error) error {
	r := &a.reinvocation
	err := admit()
	if err != nil || !r.wanted || r.second {
		return err
	}
	r.second = true
	err = admit()
	r.wanted = false // for a chain that this one is in
	return err
}

// Finders are those of the plugins that are.
func (c Chain) Finders() Finders {
	var fs Finders
	for _, p := range c {
		if f, ok := p.(Finder); ok {
			fs = append(fs, f)
		}
	}
	return fs
}

func (c Chain) admit(ctx context.Context, a *Attributes) error {
	for _, p := range c {
		if err := p.Admit(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// Validate runs the refusing half of every plugin, in order.
func (c Chain) Validate(ctx context.Context, a *Attributes) error {
	for _, p := range c {
		if err := p.Validate(ctx, a); err != nil {
			return err
		}
	}
	return nil
}
