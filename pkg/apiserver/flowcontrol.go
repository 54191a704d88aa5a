package apiserver

import (
	"context"

	"bonsai/pkg/apiserver/fairness"
	"bonsai/pkg/apiserver/live"

	"golang.org/x/sync/errgroup"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What fairness.Plan says is done here, and what the objects say is told to the Fairness.

var (
	flowSchemasGR    = schema.GroupResource{Group: flowcontrolv1.GroupName, Resource: "flowschemas"}
	priorityLevelsGR = schema.GroupResource{Group: flowcontrolv1.GroupName, Resource: "prioritylevelconfigurations"}
)

const (
	flowProducer = "api-priority-and-fairness-config-producer-v1"
	flowConsumer = "api-priority-and-fairness-config-consumer-v1"
)

// flowControl is the objects of priority and fairness; nil in a table without them, as tests have.
type flowControl struct {
	schemas *live.Kind[*flowcontrolv1.FlowSchema]
	levels  *live.Kind[*flowcontrolv1.PriorityLevelConfiguration]
}

func (s *Server) newFlowControl() *flowControl {
	_, schemas := s.rowOf(flowSchemasGR)
	_, levels := s.rowOf(priorityLevelsGR)
	if !schemas || !levels {
		return nil
	}
	src := live.Source{Context: s.stopping, Store: s.store, Table: s.cfg.Table, Logger: s.log}
	return &flowControl{
		schemas: live.Follow[*flowcontrolv1.FlowSchema](src, flowSchemasGR),
		levels:  live.Follow[*flowcontrolv1.PriorityLevelConfiguration](src, priorityLevelsGR),
	}
}

// keepFlowControl makes the objects what they should be, and then take effect.
func (s *Server) keepFlowControl(ctx context.Context) error {
	f := s.flow
	if f == nil {
		return nil
	}
	var all errgroup.Group // writes that come together share a flush to disk
	for _, a := range fairness.Plan(f.levels.All(), f.schemas.All(), s.seconds()) {
		s.log.Debug("flow control", "reason", a.Reason)
		all.Go(func() error { return s.applyFlowControl(ctx, a) })
	}
	err := all.Wait()
	s.fairness.Configure(f.schemas.All(), f.levels.All())
	return err
}

func (s *Server) applyFlowControl(ctx context.Context, a fairness.Action) error {
	switch {
	case a.Create != nil:
		return s.ownCreate(ctx, a.Create, flowProducer)
	case a.Update != nil:
		return s.ownUpdate(ctx, a.Update, "", flowProducer)
	case a.Status != nil:
		return s.ownUpdate(ctx, a.Status, "status", flowConsumer)
	}
	return s.ownDelete(ctx, a.Delete)
}
