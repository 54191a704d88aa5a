package reconcile

import (
	"context"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Resource is one kind as a loop deals with it: what is read comes from the informer, what is written goes through Write.
type Resource interface {
	// Handles says whether the object is of this kind.
	Handles(o Object) bool
	// Informer is where the loop sees this kind, and so its own writes; nil if it never looks at it again.
	Informer() cache.SharedIndexInformer
	// Write does the action and returns what the server answered: the object as written, nil for a delete.
	Write(ctx context.Context, a Action) (Object, error)
}

// Client is the part of client-go's typed clients that loops write with.
type Client[T Object] interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (T, error)
	Create(ctx context.Context, obj T, opts metav1.CreateOptions) (T, error)
	Update(ctx context.Context, obj T, opts metav1.UpdateOptions) (T, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, sub ...string) (T, error)
}

// statusClient is what the clients of kinds with a status have besides.
type statusClient[T Object] interface {
	UpdateStatus(ctx context.Context, obj T, opts metav1.UpdateOptions) (T, error)
}

// For makes a Resource of a typed client and an informer.
func For[T Object](informer cache.SharedIndexInformer, client func(namespace string) Client[T]) Resource {
	return typed[T]{informer, client}
}

type typed[T Object] struct {
	informer cache.SharedIndexInformer
	client   func(namespace string) Client[T]
}

func (r typed[T]) Handles(o Object) bool               { _, ok := o.(T); return ok }
func (r typed[T]) Informer() cache.SharedIndexInformer { return r.informer }

// Write sends the action to the server.
func (r typed[T]) Write(ctx context.Context, a Action) (Object, error) {
	c, o := r.client(a.Object.GetNamespace()), a.Object.(T)
	switch a.Verb {
	case Create:
		return answer(c.Create(ctx, o, metav1.CreateOptions{}))
	case Update:
		return answer(c.Update(ctx, o, metav1.UpdateOptions{}))
	case UpdateStatus:
		s, ok := c.(statusClient[T])
		if !ok {
			return nil, fmt.Errorf("%s has no status to write", kindOf(o))
		}
		return answer(s.UpdateStatus(ctx, o, metav1.UpdateOptions{}))
	case Patch:
		var sub []string
		if a.Subresource != "" {
			sub = []string{a.Subresource}
		}
		return answer(c.Patch(ctx, o.GetName(), types.StrategicMergePatchType, a.Patch, metav1.PatchOptions{}, sub...))
	case Delete:
		return nil, c.Delete(ctx, o.GetName(), DeleteOptions(a))
	}
	return nil, fmt.Errorf("nothing to write for %q", a.Verb)
}

// living reads o anew and says why it cannot be a parent any more.
func (r typed[T]) living(ctx context.Context, o Object) error {
	now, err := r.client(o.GetNamespace()).Get(ctx, o.GetName(), metav1.GetOptions{})
	switch {
	case err != nil:
		return err
	case now.GetUID() != o.GetUID():
		return fmt.Errorf("%s %s is another one now: UID %s, was %s", kindOf(o), KeyOf(o), now.GetUID(), o.GetUID())
	case now.GetDeletionTimestamp() != nil:
		return fmt.Errorf("%s %s is being deleted since %s", kindOf(o), KeyOf(o), now.GetDeletionTimestamp())
	}
	return nil
}

// DeleteOptions are the action's, with the UID of its object as a precondition.
func DeleteOptions(a Action) metav1.DeleteOptions {
	opts := a.Options
	if uid := a.Object.GetUID(); uid != "" {
		if opts.Preconditions == nil {
			opts.Preconditions = &metav1.Preconditions{}
		}
		opts.Preconditions.UID = &uid
	}
	return opts
}

// answer turns a typed nil, which clients return with an error, into a real one.
func answer[T Object](o T, err error) (Object, error) {
	if err != nil {
		return nil, err
	}
	return o, nil
}

// harmless are the errors after which the world is as the action wanted it, or beyond help: what was to be
// deleted is gone, or what was to be created would be deleted with its namespace.
func harmless(a Action, err error) bool {
	switch a.Verb {
	case Delete:
		return apierrors.IsNotFound(err)
	case Create:
		return apierrors.HasStatusCause(err, namespaceTerminating)
	}
	return false
}

// namespaceTerminating is the cause given with the refusal to create in a namespace that is being deleted.
const namespaceTerminating metav1.CauseType = "NamespaceTerminating"

// kindOf is what the object says of itself or, since objects from typed clients say nothing, the name of its Go type.
func kindOf(o Object) string {
	if kind := o.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind
	}
	return reflect.Indirect(reflect.ValueOf(o)).Type().Name()
}
