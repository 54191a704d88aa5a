package apiserver

import (
	"context"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Some objects the server keeps itself: flow schemas and their state, API services, the certificates that others know it by. It writes
// them as a client of its own code, so that admission, validation and the owners of fields hold for it too.

// ownCreate makes obj; that it exists already is no error. If obj has owners of fields, these stand, else manager owns them all.
func (s *Server) ownCreate(ctx context.Context, obj resource.Object, manager string) error {
	c, err := s.ownCall(ctx, obj)
	if c == nil {
		return err
	}
	_, err = s.insert(c, c.t, obj, writeOptions{options: &metav1.CreateOptions{}, manager: manager, applied: len(obj.GetManagedFields()) > 0})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// ownUpdate replaces the object, or its subresource sub. If somebody was faster, that is no error: it will be looked at again.
func (s *Server) ownUpdate(ctx context.Context, obj resource.Object, sub, manager string) error {
	c, err := s.ownCall(ctx, obj)
	if c == nil {
		return err
	}
	c.t.verb, c.t.sub = "update", sub
	e := &edit{writeOptions: writeOptions{options: &metav1.UpdateOptions{}, manager: manager}, op: "UPDATE", sub: sub,
		next: func(resource.Object) (resource.Object, error) { return obj.DeepCopyObject().(resource.Object), nil }}
	if sub != "" {
		e.part = partOf(c.t)
	}
	_, err = s.change(c, c.t, e)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// ownDelete deletes obj, if it is still the one that was seen.
func (s *Server) ownDelete(ctx context.Context, obj resource.Object) error {
	c, err := s.ownCall(ctx, obj)
	if c == nil {
		return err
	}
	c.t.verb = "delete"
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	_, err = s.remove(c, c.t, &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// whenever calls do after each change of one of the kinds, and after every without one, until ctx ends. What fails is tried again after a
// second.
func (s *Server) whenever(ctx context.Context, every time.Duration, do func(context.Context) error, kinds ...schema.GroupResource) {
	changed := make(chan struct{}, 1)
	for _, kind := range kinds {
		if row, ok := s.rowOf(kind); ok {
			s.tasks.Go(func() { s.tell(ctx, row.KeyPrefix(""), changed) })
		}
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		}
		wait := every
		if err := do(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the server's own objects could not be kept up to date", "error", err)
			wait = time.Second
		}
		timer.Reset(wait)
	}
}

// tell signals every change below prefix.
func (s *Server) tell(ctx context.Context, prefix string, changed chan<- struct{}) {
	for ctx.Err() == nil {
		w, err := s.store.Watch(ctx, store.WatchOptions{Prefix: prefix, After: s.store.Revision()})
		for err == nil {
			select {
			case changed <- struct{}{}: // once at the start too: what happened since somebody looked last is not told
			default:
			}
			_, err = w.Next(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// rowOf finds the stored kind of that name.
func (s *Server) rowOf(kind schema.GroupResource) (*resource.Row, bool) {
	for _, row := range s.cfg.Table.Rows() {
		if row.Resource == kind.Resource && row.Group() == kind.Group {
			return row, true
		}
	}
	return nil, false
}
