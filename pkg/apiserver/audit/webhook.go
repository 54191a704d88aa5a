package audit

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// sendTime bounds the sending of one batch, with all tries.
const sendTime = time.Minute

// Webhook sends events to a service.
type Webhook struct {
	call func(ctx context.Context, in, out any) error
}

// NewWebhook returns the backend of a service that call calls.
func NewWebhook(call func(ctx context.Context, in, out any) error) *Webhook { return &Webhook{call} }

// Process implements Backend.
func (w *Webhook) Process(ctx context.Context, events []*auditv1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	list := &auditv1.EventList{TypeMeta: metav1.TypeMeta{Kind: "EventList", APIVersion: auditv1.SchemeGroupVersion.String()},
		Items: make([]auditv1.Event, len(events))}
	for i, e := range events {
		list.Items[i] = *e
	}
	return w.call(ctx, list, nil)
}
