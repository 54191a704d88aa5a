package apiserver

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Getter reads objects for those who decide about requests: authenticators, authorizers, admission. They ask for the same few
// objects (a namespace, its service account) again and again, so a decoded object is kept for as long as it is the newest. What a
// Getter returns must not be changed.
type Getter struct {
	store store.API
	table *resource.Registry

	mu      sync.Mutex
	decoded map[string]decoded
}

type decoded struct {
	from *store.Object
	obj  resource.Object
}

// decodedMost bounds what a Getter keeps.
const decodedMost = 1024

// NewGetter returns a Getter of the kinds in table.
func NewGetter(st store.API, table *resource.Registry) *Getter {
	return &Getter{store: st, table: table, decoded: map[string]decoded{}}
}

// load is the package's load, with what it returned the last time.
func (g *Getter) load(row *resource.Row, o *store.Object) (resource.Object, error) {
	g.mu.Lock()
	kept, ok := g.decoded[o.Key]
	g.mu.Unlock()
	if ok && kept.from == o {
		return kept.obj, nil
	}
	obj, err := load(row, o)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.decoded) >= decodedMost {
		clear(g.decoded)
	}
	g.decoded[o.Key] = decoded{o, obj}
	return obj, nil
}

// Get returns an object at its storage version. What the image holds will do; only what it does not hold is looked for again
// in the newest state, because it may have been made a moment ago.
func (g *Getter) Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	return g.get(ctx, r, namespace, name, store.Any, store.Newest)
}

// Held returns an object as the image holds it.
func (g *Getter) Held(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	return g.get(ctx, r, namespace, name, store.Any)
}

// get looks in one state after the other.
func (g *Getter) get(ctx context.Context, r schema.GroupResource, namespace, name string, in ...store.ReadKind) (resource.Object, error) {
	row := g.row(r)
	if row == nil {
		return nil, apierrors.NewNotFound(r, name)
	}
	var o *store.Object
	var err error
	for _, kind := range in {
		if o, err = g.store.Get(ctx, row.Key(namespace, name), store.ReadAt{Kind: kind}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, apiError(err, &target{group: r.Group, resource: r.Resource}, name)
	}
	return g.load(row, o)
}

func (g *Getter) row(r schema.GroupResource) *resource.Row {
	for _, row := range g.table.Rows() {
		if row.Resource == r.Resource && row.Group() == r.Group {
			return row
		}
	}
	return nil
}

// PodsOn returns the pods that are bound to a node.
func (g *Getter) PodsOn(ctx context.Context, node string) ([]*corev1.Pod, error) {
	objs, err := g.list(ctx, schema.GroupResource{Resource: "pods"}, "", &store.Term{Field: "spec.nodeName", Value: node})
	pods := make([]*corev1.Pod, len(objs))
	for i, obj := range objs {
		pods[i] = obj.(*corev1.Pod)
	}
	return pods, err
}

// List returns the objects of a kind in a namespace, or in all of them, as the image holds them.
func (g *Getter) List(ctx context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error) {
	return g.list(ctx, r, namespace, nil)
}

func (g *Getter) list(ctx context.Context, r schema.GroupResource, namespace string, term *store.Term) ([]resource.Object, error) {
	row := g.row(r)
	if row == nil {
		return nil, nil
	}
	page, err := g.store.List(ctx, row.KeyPrefix(namespace), store.ReadAt{Kind: store.Any}, store.ListOptions{Term: term})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", r, err)
	}
	objs := make([]resource.Object, len(page.Objects))
	for i, o := range page.Objects {
		if objs[i], err = g.load(row, o); err != nil {
			return nil, err
		}
	}
	return objs, nil
}

// GetCustom is Get for a kind that a definition defines. What one version of it makes of stored bytes is not what another does, so
// nothing is kept.
func (g *Getter) GetCustom(ctx context.Context, row *resource.Row, namespace, name string) (resource.Object, error) {
	o, err := g.store.Get(ctx, row.Key(namespace, name), store.ReadAt{Kind: store.Newest})
	if err != nil {
		return nil, apiError(err, &target{group: row.Group(), resource: row.Resource}, name)
	}
	return load(row, o)
}

// ListCustom is List for a kind that a definition defines.
func (g *Getter) ListCustom(ctx context.Context, row *resource.Row, namespace string) ([]resource.Object, error) {
	page, err := g.store.List(ctx, row.KeyPrefix(namespace), store.ReadAt{Kind: store.Any}, store.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", row.Resource, err)
	}
	objs := make([]resource.Object, len(page.Objects))
	for i, o := range page.Objects {
		if objs[i], err = load(row, o); err != nil {
			return nil, err
		}
	}
	return objs, nil
}

// StoreConfig returns c with what the store has to know of the kinds: how to read labels and fields from a stored value, and
// which fields to look objects up by.
func StoreConfig(table *resource.Registry, c store.Config) store.Config {
	c.Extract = func(key string, value []byte) (store.Attrs, error) {
		labels, fields, err := table.Extract(key, value)
		return store.Attrs{Labels: store.NewSet(labels), Fields: store.NewSet(fields)}, err
	}
	for _, row := range table.Rows() {
		for _, f := range row.Indexed {
			if !slices.Contains(c.Indexed, f) {
				c.Indexed = append(c.Indexed, f)
			}
		}
	}
	return c
}

// Encoder returns what encodes an object that is written along with another: one of the table's kinds or, of what no
// client ever sees, a RangeAllocation.
func Encoder(table *resource.Registry) func(key string, obj resource.Object) (store.Put, error) {
	return func(key string, obj resource.Object) (store.Put, error) {
		row, _, ok := table.ByKey(key)
		if !ok {
			value, err := resource.EncodeProtobuf(corev1.SchemeGroupVersion.WithKind("RangeAllocation"), obj)
			return store.Put{Key: key, Value: value}, err
		}
		value, err := row.EncodeStorage(obj)
		return store.Put{Key: key, Value: value, Attrs: attrsOf(row, obj)}, err
	}
}

// attrsOf is what selectors see of obj.
func attrsOf(row *resource.Row, obj resource.Object) store.Attrs {
	return store.Attrs{Labels: store.NewSet(obj.GetLabels()), Fields: store.NewSet(row.KeptFields(obj))}
}
