package audit

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Upstream's measures of batches.
const (
	queueLength = 10000
	batchMost   = 400
	batchWait   = 30 * time.Second
	batchTime   = time.Minute     // for one batch, with all tries
	farewell    = 5 * time.Second // for what is left when the server stops
)

// Webhook sends events to a service, in batches: requests never wait for it.
type Webhook struct {
	call  func(ctx context.Context, in, out any) error
	queue chan *auditv1.Event
	wait  time.Duration
	log   *slog.Logger
}

// NewWebhook returns the sink of a service that call calls; it sends while Run runs.
func NewWebhook(call func(ctx context.Context, in, out any) error, log *slog.Logger) *Webhook {
	return &Webhook{call: call, queue: make(chan *auditv1.Event, queueLength), wait: batchWait, log: log}
}

// Write implements Sink.
func (w *Webhook) Write(e *auditv1.Event) {
	select {
	case w.queue <- e.DeepCopy():
	default:
		w.log.Error("an audit event is lost: the webhook is too slow", "auditID", e.AuditID, "stage", e.Stage)
	}
}

// Run sends until ctx ends, and then what is left.
func (w *Webhook) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if batch := w.collect(ctx); len(batch) > 0 && ctx.Err() == nil {
			w.send(ctx, batch, batchTime)
		} else if len(batch) > 0 {
			w.send(context.WithoutCancel(ctx), batch, farewell)
		}
	}
	rest := make([]auditv1.Event, 0, len(w.queue))
	for len(w.queue) > 0 {
		rest = append(rest, *<-w.queue)
	}
	if len(rest) > 0 {
		w.send(context.WithoutCancel(ctx), rest, farewell)
	}
}

// collect returns a batch: when it is full, or some time after its first event.
func (w *Webhook) collect(ctx context.Context) []auditv1.Event {
	var batch []auditv1.Event
	var due <-chan time.Time
	for len(batch) < batchMost {
		select {
		case e := <-w.queue:
			if batch = append(batch, *e); due == nil {
				timer := time.NewTimer(w.wait)
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

func (w *Webhook) send(ctx context.Context, batch []auditv1.Event, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	list := &auditv1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: auditv1.SchemeGroupVersion.String()}, Items: batch}
	if err := w.call(ctx, list, nil); err != nil {
		w.log.Error("audit events are lost: the webhook did not take them", "events", len(batch), "error", err)
	}
}
