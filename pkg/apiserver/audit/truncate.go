package audit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// truncating keeps what a backend is sent within bounds: an event that is too large loses the objects of request and answer, one that
// still is too large is lost, and a batch that is too large becomes several.
type truncating struct {
	Backend
	maxEvent, maxBatch int64
	lost               func(events int, err error)
}

var errTooLarge = errors.New("event is too large even after truncating")

// Process implements Backend.
func (t *truncating) Process(ctx context.Context, events []*auditv1.Event) error {
	var failed error
	var batch []*auditv1.Event
	var total int64
	for _, e := range events {
		e, size, err := t.fit(e)
		if err != nil {
			t.lost(1, err)
			continue
		}
		if len(batch) > 0 && total+size > t.maxBatch {
			failed = errors.Join(failed, t.Backend.Process(ctx, batch))
			batch, total = nil, 0
		}
		batch, total = append(batch, e), total+size
	}
	if len(batch) > 0 {
		failed = errors.Join(failed, t.Backend.Process(ctx, batch))
	}
	return failed
}

// fit returns the event as it may be sent, with its size.
func (t *truncating) fit(e *auditv1.Event) (*auditv1.Event, int64, error) {
	size, err := sizeOf(e)
	if err == nil && size > t.maxEvent && (e.Level == auditv1.LevelRequest || e.Level == auditv1.LevelRequestResponse) {
		short := *e
		short.RequestObject, short.ResponseObject = nil, nil
		if short.Annotations = maps.Clone(e.Annotations); short.Annotations == nil {
			short.Annotations = map[string]string{}
		}
		short.Annotations["audit.k8s.io/truncated"] = "true"
		e = &short
		size, err = sizeOf(e)
	}
	if err == nil && size > t.maxEvent {
		err = errTooLarge
	}
	return e, size, err
}

func sizeOf(e *auditv1.Event) (int64, error) {
	b, err := json.Marshal(e)
	return int64(len(b)), err
}
