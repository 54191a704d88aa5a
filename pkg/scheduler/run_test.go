package scheduler

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
)

// A pod whose sleep is over is tried then, although others sleep on, and although nothing else happens.
func TestASleeperIsTriedWhenItsTimeHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("create", "pods", func(ktesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
		l := newLoop(Config{Client: client, Logger: slog.New(slog.DiscardHandler)}, record.NewFakeRecorder(10))
		l.state.setNode(testNode("n", 1000, 1<<30, 10))
		for name, sleep := range map[string]time.Duration{"soon": time.Second, "late": time.Minute} {
			l.queue.set(testPod(name, 10))
			w := l.queue.next()
			w.asleep, w.wakeAt = true, time.Now().Add(sleep)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go l.run(ctx)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(client.Actions()); n != 1 {
			t.Errorf("%d bindings after two seconds, want that of the pod whose second is over", n)
		}
		cancel()
		synctest.Wait()
	})
}
