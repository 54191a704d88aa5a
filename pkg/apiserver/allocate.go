package apiserver

import (
	"context"

	"bonsai/pkg/apiserver/allocator"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	corev1 "k8s.io/api/core/v1"
)

// allocate gives next what has to be unique among all objects, a service's addresses and node ports, and returns what must be
// committed together with it, so that nothing is given out twice and nothing leaks. old is nil on create, next on delete; a dry run does not
// count.
func (s *Server) allocate(ctx context.Context, next, old resource.Object, dry bool) (*store.Txn, error) {
	nextService, isNext := next.(*corev1.Service)
	oldService, isOld := old.(*corev1.Service)
	if s.cfg.Allocator == nil || !isNext && !isOld {
		return nil, nil
	}
	from := s.cfg.Allocator
	if dry {
		from = from.Uncounted()
	}
	var plan allocator.Plan
	var err error
	switch {
	case !isOld:
		plan, err = from.Create(ctx, nextService)
	case !isNext:
		plan = from.Delete(oldService)
	default:
		plan, err = from.Update(ctx, nextService, oldService)
	}
	if err != nil || len(plan.If)+len(plan.Put)+len(plan.Delete) == 0 {
		return nil, err
	}
	extra := &store.Txn{}
	plan.AddTo(extra)
	return extra, nil
}

// allocateAgain tells whether a commit failed because somebody else was given the same at that moment.
func (s *Server) allocateAgain(ctx context.Context, err error) (bool, error) {
	if s.cfg.Allocator == nil || err == nil {
		return false, nil
	}
	return s.cfg.Allocator.Retry(ctx, err)
}
