package apiserver

import (
	"context"
	"errors"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What a service holds and what the allocator has keys for is the same whenever this server has written both. Two others can make it
// differ: another API server that has written the services, and a client that deletes the IPAddress of a service, which anybody may who
// may delete IPAddresses. Then the address would be given to the next service that asks for it. So what is missing is made at the start,
// and when an IPAddress is deleted that some service still holds. If another service has got the address in between, it stays with both:
// which of them is to move, only people can tell. Upstream does the same in its repair loops.

var ipAddressesGR = schema.GroupResource{Group: networkingv1.GroupName, Resource: "ipaddresses"}

// repairAddresses makes what is missing, and goes on with it for as long as ctx.
func (s *Server) repairAddresses(ctx context.Context) error {
	if s.cfg.Allocator == nil {
		return nil
	}
	seen, err := s.repairServices(ctx)
	if err != nil {
		return err
	}
	s.tasks.Go(func() {
		for ctx.Err() == nil {
			if err == nil {
				err = s.keepAddresses(ctx, seen)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
				s.log.Warn("the addresses of all services are looked through again", "error", err)
				seen, err = s.repairServices(ctx)
			}
		}
	})
	return nil
}

// repairServices goes through all services, as they are at the revision that it returns or later.
func (s *Server) repairServices(ctx context.Context) (seen int64, err error) {
	seen = s.store.Revision()
	row, _ := s.rowOf(servicesGR)
	page, err := s.store.List(ctx, row.KeyPrefix(""), store.ReadAt{Kind: store.Any}, store.ListOptions{})
	if err != nil {
		return 0, err
	}
	for _, o := range page.Objects {
		if err := s.repairService(ctx, o.Key); err != nil {
			return 0, err
		}
	}
	return seen, nil
}

// keepAddresses looks after services whose addresses are deleted later than at the revision after, until something fails.
func (s *Server) keepAddresses(ctx context.Context, after int64) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	row, _ := s.rowOf(ipAddressesGR)
	w, err := s.store.Watch(ctx, store.WatchOptions{Prefix: row.KeyPrefix(""), After: after})
	if err != nil {
		return err
	}
	for {
		events, err := w.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Type != store.Deleted {
				continue
			}
			if err := s.repairHolder(ctx, row, e.Object); err != nil {
				return err
			}
		}
	}
}

// repairHolder looks after the service whose address has been deleted. Mostly it has been deleted with it.
func (s *Server) repairHolder(ctx context.Context, row *resource.Row, o *store.Object) error {
	obj, err := load(row, o)
	if err != nil {
		return err
	}
	services, _ := s.rowOf(servicesGR)
	ref := obj.(*networkingv1.IPAddress).Spec.ParentRef
	if ref == nil || ref.Group != services.Group() || ref.Resource != services.Resource {
		return nil
	}
	return s.repairService(ctx, services.Key(ref.Namespace, ref.Name))
}

// repairService takes what the service holds that nobody has, provided that it is still there and the same.
func (s *Server) repairService(ctx context.Context, key string) error {
	row, _ := s.rowOf(servicesGR)
	for at := (store.ReadAt{Kind: store.Any}); ; at.Kind = store.Newest {
		o, err := s.store.Get(ctx, key, at)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		obj, err := load(row, o)
		if err != nil {
			return err
		}
		plan, err := s.cfg.Allocator.Missing(ctx, obj.(*corev1.Service))
		if err != nil || len(plan.Put) == 0 {
			return err
		}
		txn := store.Txn{If: []store.Condition{{Key: key, Rev: o.Rev}}}
		plan.AddTo(&txn)
		_, err = s.store.Commit(ctx, txn)
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) {
			return err
		}
	}
}
