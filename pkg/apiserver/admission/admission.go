// Package admission makes the last changes to an object, and the last refusals, before the store.
package admission

import (
	"context"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime"
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
	Operation       Operation
	Row             *resource.Row
	Subresource     string
	Namespace, Name string
	// Object is what will be stored, and may be changed by Admit; nil on delete. It is a resource.Object for all but
	// some subresources (Binding, Eviction, TokenRequest). Old is the present state, nil on create.
	Object  runtime.Object
	Old     runtime.Object
	Options runtime.Object
	User    auth.User
	DryRun  bool
}

// Plugin is one step of admission. Admit may change a.Object and refuse; Validate, called after every Admit has run,
// may only refuse. Refusals are *apierrors.StatusError.
type Plugin interface {
	Name() string
	Admit(ctx context.Context, a *Attributes) error
	Validate(ctx context.Context, a *Attributes) error
}

// Chain is the plugins in their order.
type Chain []Plugin

// Admit runs the changing half of every plugin, in order.
func (c Chain) Admit(ctx context.Context, a *Attributes) error {
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
