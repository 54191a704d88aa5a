package apiserver

import (
	"context"
	"errors"
	"fmt"

	"bonsai/pkg/apiserver/auth/policy"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// policyAtOnce is how many of the policy's objects are written at the same time: they share etcd's commits, so that the first start
// waits for the disk a few times and not once for each.
const policyAtOnce = 32

// ensurePolicy makes the default roles and bindings, or adds to those that exist what they lack. Until that is done the server is not
// ready: only the administrator may do anything.
func (s *Server) ensurePolicy(ctx context.Context) error {
	if s.cfg.Policy == nil {
		return nil
	}
	var all errgroup.Group
	all.SetLimit(policyAtOnce)
	for _, want := range s.cfg.Policy() {
		all.Go(func() error {
			if err := s.ensureRights(ctx, want); err != nil {
				return fmt.Errorf("make %T %s: %w", want, want.GetName(), err)
			}
			return nil
		})
	}
	return all.Wait()
}

// ensureRights does so for one object. The image holds what was stored before this server began, and what others wrote
// since shows as a conflict.
func (s *Server) ensureRights(ctx context.Context, want resource.Object) error {
	c, err := s.ownCall(ctx, want)
	if c == nil || err != nil {
		return err
	}
	cur, err := s.store.Get(ctx, c.t.key(), store.ReadAt{Kind: store.Any})
	if errors.Is(err, store.ErrNotFound) {
		return s.insertRights(c, want)
	}
	if err != nil {
		return err
	}
	old, err := load(c.t.row, cur)
	if err != nil {
		return err
	}
	switch _, step := policy.Reconcile(want, old); step {
	case policy.Update:
		e := &edit{writeOptions: writeOptions{options: &metav1.UpdateOptions{}, manager: ownManager}, op: "UPDATE"}
		e.next = func(old resource.Object) (resource.Object, error) {
			next, _ := policy.Reconcile(want, old)
			return next, nil
		}
		_, err = s.change(c, c.t, e)
	case policy.Replace:
		if _, err = s.erase(c, cur, nil); err == nil {
			err = s.insertRights(c, want)
		}
	}
	return err
}

func (s *Server) insertRights(c *call, want resource.Object) error {
	_, err := s.insert(c, c.t, want, writeOptions{options: &metav1.CreateOptions{}, manager: ownManager})
	if apierrors.IsAlreadyExists(err) {
		return nil // another server starts too, and makes the same
	}
	return err
}
