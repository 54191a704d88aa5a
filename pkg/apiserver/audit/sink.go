package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Backend is where events go. It must not change them, nor keep them beyond the call.
type Backend interface {
	Process(ctx context.Context, events []*auditv1.Event) error
}

// The modes say what a request has to do with its events.
const (
	Batch          = "batch"           // nothing: they are collected, and may be lost
	Blocking       = "blocking"        // it waits until they are written, if they can be
	BlockingStrict = "blocking-strict" // it fails if the first of them cannot be written
)

var modes = []string{Batch, Blocking, BlockingStrict}

// Delivery says how events get to a backend.
type Delivery struct {
	Mode string

	// In mode batch: how many events may wait, how many are sent at once, how long after the first of them, and how often.
	Buffer, BatchMost int
	Wait              time.Duration
	Throttle          bool
	QPS               float32
	Burst             int

	// Truncate bounds what is sent: events over MaxEvent bytes lose their objects, and batches are no larger than MaxBatch.
	Truncate           bool
	MaxEvent, MaxBatch int64
}

// check finds what cannot be meant, in upstream's words; plugin is the name of the backend.
func (d Delivery) check(plugin string) error {
	positive := func(what string, n, or any, ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("invalid audit %s %s %s %v, must be a positive number", or, plugin, what, n)
	}
	var errs []error
	if !slices.Contains(modes, d.Mode) {
		errs = append(errs, fmt.Errorf("invalid audit %s mode %s, allowed modes are %q", plugin, d.Mode, strings.Join(modes, ",")))
	}
	if d.Mode == Batch {
		errs = append(errs, positive("buffer size", d.Buffer, "batch", d.Buffer > 0), positive("max batch size", d.BatchMost, "batch", d.BatchMost > 0))
		if d.Throttle {
			errs = append(errs, positive("throttle QPS", d.QPS, "batch", d.QPS > 0), positive("throttle burst", d.Burst, "batch", d.Burst > 0))
		}
	}
	errs = append(errs, positive("max event size", d.MaxEvent, "truncate", d.MaxEvent > 0))
	if d.MaxBatch < d.MaxEvent {
		errs = append(errs, fmt.Errorf("invalid audit truncate %s max batch size %v, must be greater than max event size (%v)", plugin, d.MaxBatch, d.MaxEvent))
	}
	return errors.Join(errs...)
}

// Sink takes the events of requests, and brings them to a backend.
type Sink struct {
	plugin string
	to     Backend
	how    Delivery
	queue  chan *auditv1.Event // in mode batch
	log    *slog.Logger
	counts *Metrics
}

// NewSink returns the sink of a backend, whose name is plugin. In mode batch it sends while Run runs.
func NewSink(plugin string, to Backend, how Delivery, log *slog.Logger, counts *Metrics) (*Sink, error) {
	if err := how.check(plugin); err != nil {
		return nil, err
	}
	s := &Sink{plugin: plugin, to: to, how: how, log: log, counts: counts}
	if how.Truncate {
		s.to = &truncating{to, how.MaxEvent, how.MaxBatch, s.lost}
	}
	if how.Mode == Batch {
		s.queue = make(chan *auditv1.Event, how.Buffer)
	}
	return s, nil
}

// Write takes an event, which may change afterwards. An error means that the request is not to go on.
func (s *Sink) Write(ctx context.Context, e *auditv1.Event) error {
	if s.how.Mode == Batch {
		select {
		case s.queue <- e.DeepCopy():
		default:
			s.lost(1, errors.New("audit buffer queue blocked"))
		}
		return nil
	}
	err := s.to.Process(ctx, []*auditv1.Event{e})
	if err != nil {
		s.lost(1, err)
	}
	if s.how.Mode == Blocking {
		return nil
	}
	return err
}

// lost says that events could not be brought to the backend.
func (s *Sink) lost(events int, err error) {
	s.log.Error("audit events are lost", "plugin", s.plugin, "events", events, "error", err)
	s.counts.failed(s.plugin, events)
}
