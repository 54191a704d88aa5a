package audit

import (
	"context"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/util/flowcontrol"
)

// farewell is how long the sending of what is left may take when the server stops.
const farewell = 5 * time.Second

// Run sends in batches until ctx ends, and then what is left. Without batches it returns at once.
func (s *Sink) Run(ctx context.Context) {
	if s.how.Mode != Batch {
		return
	}
	var pace flowcontrol.RateLimiter = flowcontrol.NewFakeAlwaysRateLimiter()
	if s.how.Throttle {
		pace = flowcontrol.NewTokenBucketRateLimiter(s.how.QPS, s.how.Burst)
	}
	for ctx.Err() == nil {
		batch := s.collect(ctx)
		if len(batch) == 0 {
			continue
		}
		if ctx.Err() == nil && pace.Wait(ctx) == nil {
			s.send(context.WithoutCancel(ctx), batch)
			continue
		}
		s.sendLast(ctx, batch)
	}
	var rest []*auditv1.Event
	for len(s.queue) > 0 {
		rest = append(rest, <-s.queue)
	}
	if len(rest) > 0 {
		s.sendLast(ctx, rest)
	}
}

// collect returns a batch: when it is full, or some time after its first event.
func (s *Sink) collect(ctx context.Context) []*auditv1.Event {
	var batch []*auditv1.Event
	var due <-chan time.Time
	for len(batch) < s.how.BatchMost {
		select {
		case e := <-s.queue:
			if batch = append(batch, e); due == nil && s.how.BatchMost > 1 {
				timer := time.NewTimer(s.how.Wait)
				defer timer.Stop()
				due = timer.C
			}
		case <-due:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

func (s *Sink) sendLast(ctx context.Context, batch []*auditv1.Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	s.send(ctx, batch)
}

func (s *Sink) send(ctx context.Context, batch []*auditv1.Event) {
	if err := s.to.Process(ctx, batch); err != nil {
		s.lost(len(batch), err)
	}
}
