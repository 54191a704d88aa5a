package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// hook is something that has to be done once the server answers, before it is ready: by the names of upstream's hooks that do as
// much, which are those of checks. Each is tried until it succeeds.
type hook struct {
	names []string
	run   func(context.Context) error
	done  atomic.Bool
}

var errHookNotFinished = errors.New("not finished")

// startHooks are the hooks in the order in which they are run.
func (s *Server) startHooks() []*hook {
	at := func(run func(context.Context) error, names ...string) *hook { return &hook{names: names, run: run} }
	return []*hook{
		at(s.makeNamespaces, "start-system-namespaces-controller"),
		at(s.makeServiceRange, "start-kubernetes-service-cidr-controller"),
		at(s.repairAddresses, "start-service-ip-repair-controllers"),
		at(s.makeKubernetesService, "bootstrap-controller"),
		at(s.ensurePolicy, "rbac/bootstrap-roles"),
		at(s.makePriorityClasses, "scheduling/bootstrap-system-priority-classes"),
		at(s.keepFlowControl, "priority-and-fairness-config-producer"),
		at(s.keepFlowControl, "priority-and-fairness-config-consumer"), // again: what the first has made
		at(s.publishTrust, "start-cluster-authentication-info-controller"),
		at(func(context.Context) error { return s.Refresh() }, "start-apiextensions-controllers", "crd-informer-synced"),
		at(s.keepLocal, "kube-apiserver-autoregistration", "apiservice-status-local-available-controller"),
		at(s.background, "apiservice-status-remote-available-controller", "apiservice-registration-controller",
			"apiservice-discovery-controller", "apiservice-openapi-controller", "apiservice-openapiv3-controller"),
		// The image is filled, and admission has what it decides by, before there is a server at all.
		at(nil, "start-apiserver-admission-initializer", "generic-apiserver-start-informers", "start-apiextensions-informers",
			"start-kube-aggregator-informers", "storage-readiness"),
	}
}

// hookChecks is the order in which the checks of hooks are listed: upstream's.
var hookChecks = []string{
	"start-apiserver-admission-initializer", "generic-apiserver-start-informers", "priority-and-fairness-config-consumer",
	"start-apiextensions-informers", "start-apiextensions-controllers", "crd-informer-synced", "start-system-namespaces-controller",
	"start-cluster-authentication-info-controller", "storage-readiness", "start-service-ip-repair-controllers", "rbac/bootstrap-roles",
	"scheduling/bootstrap-system-priority-classes", "priority-and-fairness-config-producer", "bootstrap-controller",
	"start-kubernetes-service-cidr-controller", "start-kube-aggregator-informers", "apiservice-status-local-available-controller",
	"apiservice-status-remote-available-controller", "apiservice-registration-controller", "apiservice-discovery-controller",
	"kube-apiserver-autoregistration", "apiservice-openapi-controller", "apiservice-openapiv3-controller",
}

// hookNamed finds the hook that does the work of name.
func (s *Server) hookNamed(name string) *hook {
	for _, h := range s.hooks {
		if slices.Contains(h.names, name) {
			return h
		}
	}
	return nil
}

// background is what goes on for as long as the server runs; it ends with ctx, and tasks waits for it.
func (s *Server) background(ctx context.Context) error {
	s.tasks.Go(func() { s.guard(ctx) })
	if s.flow != nil {
		s.tasks.Go(func() { s.whenever(ctx, time.Minute, s.keepFlowControl, flowSchemasGR, priorityLevelsGR) })
	}
	if s.aggregate.services != nil {
		s.tasks.Go(func() {
			s.whenever(ctx, lookEvery, s.keepAPIServices, apiServicesGR, servicesGR, endpointSlicesGR, definitionsGR)
		})
	}
	return nil
}

// Bootstrap runs the hooks, and makes the server ready. It tries until the store answers or ctx ends, with which the work ends
// that hooks have begun.
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
	for h.run != nil {
		err := h.run(ctx)
		if err == nil {
			return nil
		}
		s.log.Warn("a step of the start has failed and is tried again", "step", h.names[0], "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("start: %s: %w", h.names[0], errors.Join(ctx.Err(), err))
		case <-time.After(time.Second):
		}
	}
	return nil
}
