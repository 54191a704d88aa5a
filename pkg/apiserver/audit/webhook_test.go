package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestWebhook: events arrive in order, in batches, those that wait when the server stops included; one that fails does not stop the next.
func TestWebhook(t *testing.T) {
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
		w := NewWebhook(call, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		write := func(from, to int) {
			for i := from; i < to; i++ {
				w.Write(&auditv1.Event{AuditID: types.UID(fmt.Sprint(i))})
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
