package reconcile_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bonsai/pkg/reconcile"
)

// One of two leads at a time. When it ends, it lets go, and the other takes over without waiting for the lease to run out.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var leading, most atomic.Int32
		run := func(ctx context.Context) error {
			most.Store(max(most.Load(), leading.Add(1)))
			<-ctx.Done()
			leading.Add(-1)
			return nil
		}
		contend := func() (stop func() error) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- reconcile.Lead(ctx, client, "test", run) }()
			return func() error { cancel(); return <-done }
		}
		first := contend()
		pass(time.Second)
		second := contend()
		pass(time.Minute)
		if leading.Load() != 1 || most.Load() != 1 {
			t.Fatalf("%d lead, %d at most did", leading.Load(), most.Load())
		}
		if err := first(); err != nil {
			t.Errorf("the first: %v", err)
		}
		pass(5 * time.Second)
		if leading.Load() != 1 {
			t.Error("nobody took over")
		}
		if err := second(); err != nil {
			t.Errorf("the second: %v", err)
		}
	})
}

// Who cannot renew the lease any more stops in time, and says so.
func TestLeadLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var down atomic.Bool
		client.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return down.Load(), nil, errors.New("the API server does not answer")
		})
		done := make(chan error, 1)
		go func() {
			done <- reconcile.Lead(t.Context(), client, "test", func(ctx context.Context) error { <-ctx.Done(); return nil })
		}()
		pass(5 * time.Second)
		down.Store(true)
		pass(time.Minute)
		select {
		case err := <-done:
			if err == nil {
				t.Error("the loss is no error")
			}
		default:
			t.Error("it goes on")
		}
	})
}
