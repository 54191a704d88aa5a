package admission

import (
	"context"

	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// inNamespaces returns a function that returns the objects of a kind in a namespace, in the order of their names.
func inNamespaces[T resource.Object](d Deps, r schema.GroupResource) func(ctx context.Context, namespace string) ([]T, error) {
	if !d.follows(r) {
		return func(ctx context.Context, namespace string) ([]T, error) { return listed[T](ctx, d.Get, r, namespace) }
	}
	kind := live.Follow[T](d.Live, r)
	byNamespace := live.Derive(func() map[string][]T {
		out := map[string][]T{}
		for _, o := range kind.All() {
			out[o.GetNamespace()] = append(out[o.GetNamespace()], o)
		}
		return out
	}, kind)
	return func(_ context.Context, namespace string) ([]T, error) { return byNamespace()[namespace], nil }
}

// everywhere returns a function that returns all objects of a kind, in the order of their names.
func everywhere[T resource.Object](d Deps, r schema.GroupResource) func(ctx context.Context) ([]T, error) {
	if !d.follows(r) {
		return func(ctx context.Context) ([]T, error) { return listed[T](ctx, d.Get, r, "") }
	}
	kind := live.Follow[T](d.Live, r)
	return func(context.Context) ([]T, error) { return kind.All(), nil }
}

// follows says whether there is something to follow: a table, as tests have, may be without the kind.
func (d Deps) follows(r schema.GroupResource) bool {
	if d.Live.Store == nil {
		return false
	}
	for _, row := range d.Live.Table.Rows() {
		if row.Resource == r.Resource && row.Group() == r.Group {
			return true
		}
	}
	return false
}

func listed[T resource.Object](ctx context.Context, g Getter, r schema.GroupResource, namespace string) ([]T, error) {
	all, err := g.List(ctx, r, namespace)
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, len(all))
	for _, o := range all {
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
	}
	return out, nil
}

// get reads one object of a known type.
func get[T resource.Object](ctx context.Context, g Getter, r schema.GroupResource, namespace, name string) (t T, err error) {
	o, err := g.Get(ctx, r, namespace, name)
	if err != nil {
		return t, err
	}
	t, _ = o.(T)
	return t, nil
}
