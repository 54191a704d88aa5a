package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// hook is something that has to be done once the server answers, before it is ready: by the name of upstream's hook that does
// as much, which is that of a check of /readyz. Each is tried until it succeeds.
type hook struct {
	name string
	run  func(context.Context) error
	done atomic.Bool
}

var errHookNotFinished = errors.New("not finished")

// startHooks are the hooks in their order.
func (s *Server) startHooks() []*hook {
	return []*hook{
		{name: "start-system-namespaces-controller", run: s.bootstrap},
		{name: "rbac/bootstrap-roles", run: s.ensurePolicy},
		{name: "priority-and-fairness-config-producer", run: s.keepFlowControl},
		{name: "priority-and-fairness-config-consumer", run: s.keepFlowControl}, // again: what the first has made
		{name: "start-cluster-authentication-info-controller", run: s.publishTrust},
		{name: "kube-apiserver-autoregistration", run: s.keepLocal},
	}
}

// background is what goes on for as long as the server runs; it ends with ctx, and tasks waits for it.
func (s *Server) background(ctx context.Context) {
	s.tasks.Go(func() { s.guard(ctx) })
	if s.flow != nil {
		s.tasks.Go(func() { s.whenever(ctx, time.Minute, s.keepFlowControl, flowSchemasGR, priorityLevelsGR) })
	}
	if s.aggregate.services != nil {
		s.tasks.Go(func() {
			s.whenever(ctx, lookEvery, s.keepAPIServices, apiServicesGR, servicesGR, endpointSlicesGR, definitionsGR)
		})
	}
}

// Bootstrap runs the hooks, and makes the server ready. It tries until the store answers or ctx ends.
func (s *Server) Bootstrap(ctx context.Context) error {
	for _, h := range s.hooks {
		if err := s.finish(ctx, h); err != nil {
			return err
		}
		h.done.Store(true)
	}
	s.ready.Store(true)
	return nil
}

func (s *Server) finish(ctx context.Context, h *hook) error {
	for {
		err := h.run(ctx)
		if err == nil {
			return nil
		}
		s.log.Warn("a step of the start has failed and is tried again", "step", h.name, "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("start: %s: %w", h.name, errors.Join(ctx.Err(), err))
		case <-time.After(time.Second):
		}
	}
}
