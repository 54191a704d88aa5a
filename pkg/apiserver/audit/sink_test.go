package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestWebhook: events arrive in order, in batches, those that wait when the server stops included; one that fails does not stop the next.
func TestWebhook(t *testing.T) {
	const batchMost, batchWait = 400, 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []types.UID
		var batches []int
		fail := true
		call := func(_ context.Context, in, _ any) error {
			mu.Lock()
			defer mu.Unlock()
			if fail {
				fail = false
				return errors.New("away")
			}
			list := in.(*auditv1.EventList)
			batches = append(batches, len(list.Items))
			for _, e := range list.Items {
				got = append(got, e.AuditID)
			}
			return nil
		}
		w, err := NewSink("webhook", NewWebhook(call), Delivery{Mode: Batch, Buffer: 1000, BatchMost: batchMost, Wait: batchWait, Throttle: true, QPS: 10, Burst: 15,
			MaxEvent: 1, MaxBatch: 1}, slog.New(slog.DiscardHandler), nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		write := func(from, to int) {
			for i := from; i < to; i++ {
				_ = w.Write(ctx, &auditv1.Event{AuditID: types.UID(fmt.Sprint(i))})
			}
		}
		write(0, 3) // lost
		time.Sleep(batchWait)
		synctest.Wait()
		write(3, 3+batchMost+5)
		synctest.Wait()
		mu.Lock()
		require.Equal(t, []int{batchMost}, batches)
		mu.Unlock()
		time.Sleep(batchWait)
		synctest.Wait()
		write(408, 410)
		cancel()
		<-done
		require.Equal(t, 5, batches[1])
		require.Len(t, got, batchMost+7)
		for i, id := range got {
			require.Equal(t, types.UID(fmt.Sprint(i+3)), id)
		}
	})
}

// kept is a backend that keeps what it is sent, and fails if it is told to.
type kept struct {
	batches [][]string
	err     error
}

func (k *kept) Process(_ context.Context, events []*auditv1.Event) error {
	var ids []string
	for _, e := range events {
		ids = append(ids, fmt.Sprintf("%s %v %s", e.AuditID, e.RequestObject != nil, e.Annotations["audit.k8s.io/truncated"]))
	}
	k.batches = append(k.batches, ids)
	return k.err
}

// What is too large is made smaller, or left out; a batch that is too large becomes two.
func TestTruncate(t *testing.T) {
	k, lost := &kept{}, 0
	object := &runtime.Unknown{Raw: []byte(`"` + strings.Repeat("x", 1000) + `"`), ContentType: "application/json"}
	tr := &truncating{k, 800, 500, func(n int, _ error) { lost += n }}
	require.NoError(t, tr.Process(t.Context(), []*auditv1.Event{
		{AuditID: "small", Level: auditv1.LevelRequest}, {AuditID: "large", Level: auditv1.LevelRequest, RequestObject: object},
		{AuditID: "hopeless", Level: auditv1.LevelRequest, RequestURI: string(object.Raw)}, {AuditID: "third", Level: auditv1.LevelMetadata},
		{AuditID: "fourth", Level: auditv1.LevelMetadata}, {AuditID: "fifth", Level: auditv1.LevelMetadata}}))
	require.Equal(t, 1, lost)
	var all []string
	for _, batch := range k.batches {
		all = append(all, batch...)
	}
	require.Greater(t, len(k.batches), 1)
	require.Equal(t, []string{"small false ", "large false true", "third false ", "fourth false ", "fifth false "}, all)
}

func TestModes(t *testing.T) {
	good := Delivery{Buffer: 1, BatchMost: 1, MaxEvent: 10, MaxBatch: 10}
	for mode, fails := range map[string]bool{Batch: false, Blocking: false, BlockingStrict: true} {
		how := good
		how.Mode = mode
		s, err := NewSink("log", &kept{err: errors.New("no space")}, how, slog.New(slog.DiscardHandler), nil)
		require.NoError(t, err)
		require.Equal(t, fails, s.Write(t.Context(), &auditv1.Event{}) != nil, mode)
	}
	for _, tc := range []struct {
		change func(*Delivery)
		err    string
	}{
		{func(d *Delivery) { d.Mode = "now" }, `invalid audit log mode now, allowed modes are "batch,blocking,blocking-strict"`},
		{func(d *Delivery) { d.Buffer = 0 }, "invalid audit batch log buffer size 0, must be a positive number"},
		{func(d *Delivery) { d.Throttle = true }, "invalid audit batch log throttle QPS 0, must be a positive number\ninvalid audit batch log throttle burst 0, must be a positive number"},
		{func(d *Delivery) { d.MaxBatch = 9 }, "invalid audit truncate log max batch size 9, must be greater than max event size (10)"},
	} {
		how := good
		how.Mode = Batch
		tc.change(&how)
		_, err := NewSink("log", nil, how, nil, nil)
		require.EqualError(t, err, tc.err)
	}
}
