package admission

import (
	"context"
	"time"

	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Getter reads objects in their storage versions, which the plugin does not change. Of a kind that the server does
// not have, there are none.
type Getter interface {
	// Get returns an object, or the API's NotFound. It may answer from the image if the object is there, and says
	// NotFound only after it has looked at the newest state.
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error)
	// List returns all objects of a kind in a namespace, or in all of them ("").
	List(ctx context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error)
}

// Deps is what the plugins need.
type Deps struct {
	Get Getter
	// Dynamic are the plugins that do what users have configured, in their order: policies and webhooks that change, then
	// those that refuse.
	Dynamic Chain
	// Name returns a name that begins with the prefix and ends in five letters that follow from of. Nil means the usual one.
	Name func(prefix, of string) string
	// Wait sleeps between two looks for an object that should be there soon. Nil means real time.
	Wait func(ctx context.Context, d time.Duration)
}

// Default is the chain of a cluster, in upstream's order.
func Default(d Deps) Chain {
	if d.Name == nil {
		d.Name = nameOf
	}
	if d.Wait == nil {
		d.Wait = sleep
	}
	return append(Chain{
		NamespaceLifecycle{d.Get},
		ServiceAccount{d},
		NodeRestriction{d.Get},
		TaintNodesByCondition{},
		Priority{d.Get},
		DefaultTolerationSeconds{},
	}, d.Dynamic...)
}
