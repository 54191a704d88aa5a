package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/workqueue"
)

// counts are what q shows of the queue called name: values, and of distributions the sum.
func counts(t *testing.T, q *Queues, name string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(q))
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			require.Equal(t, "name", m.GetLabel()[0].GetName())
			if m.GetLabel()[0].GetValue() == name {
				short := strings.TrimPrefix(f.GetName(), "workqueue_")
				out[short] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
			}
		}
	}
	return out
}

func TestQueuesCountThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueues()
		queue, forget := q.queue("web", workqueue.NewTypedItemExponentialFailureRateLimiter[Key](time.Second, time.Minute))
		defer forget()
		defer queue.ShutDown()
		a, b := Key{Name: "a"}, Key{Name: "b"}
		check := func(when string, adds, retries, depth, waited, worked, busy, longest float64) {
			t.Helper()
			require.Equal(t, map[string]float64{
				"adds_total": adds, "retries_total": retries, "depth": depth, "queue_duration_seconds": waited, "work_duration_seconds": worked,
				"unfinished_work_seconds": busy, "longest_running_processor_seconds": longest,
			}, counts(t, q, "web"), when)
		}
		take := func() {
			t.Helper()
			_, closed := queue.Get()
			require.False(t, closed)
		}
		check("nothing yet", 0, 0, 0, 0, 0, 0, 0)
		queue.Add(a)
		time.Sleep(2 * time.Second)
		queue.Add(a)
		check("a key that waits already is added once", 1, 0, 1, 0, 0, 0, 0)
		take()
		time.Sleep(3 * time.Second)
		queue.Add(b)
		queue.Add(a)
		check("a is worked on, and has come again", 3, 0, 2, 2, 0, 3, 3)
		take()
		time.Sleep(time.Second)
		check("both are worked on", 3, 0, 1, 2, 0, 5, 4)
		queue.Done(a)
		queue.AddRateLimited(b)
		check("b is put off, a waits since it has come again", 3, 1, 1, 2, 4, 1, 1)
		take()
		queue.Done(a)
		queue.Done(b)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		check("b is back", 4, 1, 1, 3, 5, 0, 0)
		queue.ShutDown()
		queue.Add(b)
		queue.AddAfter(b, 1)
		check("nothing comes into a closed queue", 4, 1, 1, 3, 5, 0, 0)
	})
}

// TestQueuesOfOneName: what is there now is told of all queues of a name together, as long as they are there.
func TestQueuesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueues()
		limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[Key](time.Second, time.Minute)
		depth := func() string {
			all := q.states(time.Now())
			var out []string
			for _, name := range slices.Sorted(maps.Keys(all)) {
				out = append(out, fmt.Sprint(name, " ", all[name].depth))
			}
			return strings.Join(out, ", ")
		}
		one, forgetOne := q.queue("web", limiter)
		two, forgetTwo := q.queue("web", limiter)
		one.Add(Key{Name: "a"})
		two.Add(Key{Name: "a"})
		require.Equal(t, "web 2", depth())
		one.ShutDown()
		forgetOne()
		require.Equal(t, "web 1", depth())
		two.ShutDown()
		forgetTwo()
		require.Empty(t, depth())
	})
}

// BenchmarkQueue is what counting costs: a key goes through the queue.
func BenchmarkQueue(b *testing.B) {
	for name, q := range map[string]*Queues{"plain": nil, "counted": NewQueues()} {
		b.Run(name, func(b *testing.B) {
			queue, forget := q.queue("web", workqueue.NewTypedItemExponentialFailureRateLimiter[Key](time.Second, time.Minute))
			defer forget()
			defer queue.ShutDown()
			for b.Loop() {
				queue.Add(Key{Name: "a"})
				key, _ := queue.Get()
				queue.Done(key)
			}
		})
	}
}
