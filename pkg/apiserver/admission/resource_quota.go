package admission

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bonsai/pkg/quota"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ResourceQuota holds a namespace to its quotas: what an object uses is added to the status of each quota that counts it, and an
// object that goes over is refused.
//
// Two creates at once must not both get the last place. The usual answer is to charge the quota first, by a compare-and-swap on
// its status, and to create the object then; but then comes an error, and the charge stays for nothing until somebody counts. Here both
// are one transaction of the store: the object is written if the quotas are still as they were when they were found to have room, and
// the quotas are written with it. So at every revision what a quota says is used is there, for any number of API servers; what is
// given back is the controller's matter.
//
// If all who create in a namespace tried at once, all but one would fail, again and again. So they take turns: one holds
// the namespace from looking at its quotas until they are written. Namespaces without quotas know nothing of that.
type ResourceQuota struct {
	deps   Deps
	quotas func(ctx context.Context, namespace string) ([]*corev1.ResourceQuota, error)
	turns  *turns
}

func newResourceQuota(d Deps) ResourceQuota {
	r := schema.GroupResource{Resource: "resourcequotas"}
	return ResourceQuota{d, inNamespaces[*corev1.ResourceQuota](d, r), &turns{byKey: map[string]*turn{}}}
}

// quotaPrefix is where quotas are in the store.
const quotaPrefix = "/registry/resourcequotas/"

// Name is upstream's.
func (ResourceQuota) Name() string { return "ResourceQuota" }

// Admit does nothing.
func (ResourceQuota) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses what has no room, and has what has room charged when it is written.
func (p ResourceQuota) Validate(ctx context.Context, a *Attributes) error {
	a.Charge = nil // a create that is tried again is validated again
	if a.Namespace == "" || a.Operation != Create && a.Operation != Update || a.is("namespaces") {
		return nil
	}
	quotas, err := p.quotas(ctx, a.Namespace)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if len(quotas) == 0 && len(p.deps.Config.Limited) == 0 {
		return nil
	}
	w, ok := write(a)
	if !ok {
		return nil
	}
	if err := p.covered(a, quotas, w); err != nil {
		return err
	}
	used, err := quota.Charge(quotas, w, p.deps.Now())
	if err != nil {
		return a.forbidden("%w", err)
	}
	if !a.DryRun && anyOf(used) && p.deps.Live.Store != nil {
		a.Charge = func(ctx context.Context, commit func(*store.Txn) (int64, error)) error {
			return p.charge(ctx, a, w, commit)
		}
	}
	return nil
}

// covered refuses what uses of that which may not be used without a quota, if no quota is about it.
func (p ResourceQuota) covered(a *Attributes, quotas []*corev1.ResourceQuota, w quota.Write) error {
	err := quota.Covered(p.deps.Config.Limited, quotas, w, p.deps.Now())
	var bare quota.UncoveredError
	if errors.As(err, &bare) && !bare.ByScope {
		return a.forbidden("%w", err)
	}
	return err // upstream takes scopes without a quota for a fault of its own, and answers 500
}

// write is the request as quotas see it; false if it is none that could use more.
func write(a *Attributes) (w quota.Write, ok bool) {
	if w.Next, ok = a.Object.(metav1.Object); !ok {
		return w, false
	}
	if old, ok := a.Old.(metav1.Object); ok {
		w.Old = old
	}
	w.Subresource = a.Subresource
	w.Meter, ok = quota.For(a.resource())
	return w, ok && w.Meter.Charged(w.Subresource, w.Next, w.Old)
}

func anyOf(used []corev1.ResourceList) bool {
	for _, u := range used {
		if u != nil {
			return true
		}
	}
	return false
}

// charge writes the object together with its quotas, when it is its turn.
func (p ResourceQuota) charge(ctx context.Context, a *Attributes, w quota.Write, commit func(*store.Txn) (int64, error)) error {
	done, err := p.turns.take(ctx, a.Namespace)
	if err != nil {
		return err
	}
	defer done()
	for {
		with, err := p.plan(ctx, a, w)
		if err != nil {
			return err
		}
		rev, err := commit(with)
		if err == nil {
			// Who comes next must see the quotas as they are now, or would try in vain.
			_ = p.deps.Live.Store.Wait(ctx, rev)
			return nil
		}
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || !isQuota(with, conflict.Key) {
			return err
		}
		if err := p.catchUp(ctx); err != nil {
			return err
		}
	}
}

// plan is what to write with the object, as the quotas are now.
func (p ResourceQuota) plan(ctx context.Context, a *Attributes, w quota.Write) (*store.Txn, error) {
	quotas, err := p.quotas(ctx, a.Namespace)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	used, err := quota.Charge(quotas, w, p.deps.Now())
	if err != nil {
		return nil, a.forbidden("%w", err)
	}
	txn := &store.Txn{}
	for i, q := range quotas {
		if used[i] == nil {
			continue
		}
		next := q.DeepCopy()
		next.Status.Used = used[i]
		rev, err := strconv.ParseInt(q.ResourceVersion, 10, 64)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		put, err := p.deps.Encode(quotaPrefix+q.Namespace+"/"+q.Name, next)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		txn.If = append(txn.If, store.Condition{Key: put.Key, Rev: rev})
		txn.Put = append(txn.Put, put)
	}
	return txn, nil
}

// catchUp returns when what is followed is as new as etcd was just now.
func (p ResourceQuota) catchUp(ctx context.Context) error {
	rev, err := p.deps.Live.Store.Newest(ctx)
	if err != nil {
		return err
	}
	return p.deps.Live.Store.Wait(ctx, rev)
}

// isQuota tells whether a key is that of a quota that t writes: the object itself may be a quota too, and is not in t.
func isQuota(t *store.Txn, key string) bool {
	return strings.HasPrefix(key, quotaPrefix) && slices.ContainsFunc(t.Put, func(put store.Put) bool { return put.Key == key })
}

// turns lets one at a time do something with a key. Keys that nobody wants take no room.
type turns struct {
	mu    sync.Mutex
	byKey map[string]*turn
}

type turn struct {
	free    chan struct{} // holds one while nobody has the turn
	wanting int
}

// take waits for the key's turn, and returns how to end it.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	one := t.byKey[key]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.byKey[key] = one
	}
	one.wanting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.wanting--; one.wanting == 0 {
			delete(t.byKey, key)
		}
	}
	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
