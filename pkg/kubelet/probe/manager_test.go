package probe

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"bonsai/pkg/kubelet/cri"
)

// world is a manager with a container whose health the test sets.
type world struct {
	*Manager
	mu      sync.Mutex
	healthy bool
	asked   int
	events  []string
	pod     *corev1.Pod
	runtime *cri.Pod
}

func newWorld(c corev1.Container) *world {
	w := &world{pod: &corev1.Pod{}, runtime: &cri.Pod{Containers: []*cri.Container{{Name: "main", ID: "c1", State: cri.Running, StartedAt: time.Now()}}}}
	w.pod.UID = "u"
	c.Name = "main"
	w.pod.Spec.Containers = []corev1.Container{c}
	w.Manager = &Manager{
		Run: func(context.Context, Target, *corev1.Probe) (bool, string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked++
			return w.healthy, "no"
		},
		Changed:   func(types.UID) {},
		Unhealthy: func(_ *corev1.Pod, _, kind, _ string) { w.events = append(w.events, kind) },
	}
	return w
}

func (w *world) set(healthy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.healthy = healthy
}

// after lets time pass and everything that follows from it happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(corev1.Container{ReadinessProbe: &corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10, FailureThreshold: 2, SuccessThreshold: 1}})
		defer w.Forget("u")
		w.set(true)
		w.Sync(t.Context(), w.pod, w.runtime, "", false)
		after(4 * time.Second)
		require.False(t, w.Results("c1").Ready, "before the initial delay")
		after(2 * time.Second)
		require.True(t, w.Results("c1").Ready)
		w.set(false)
		after(10 * time.Second)
		require.True(t, w.Results("c1").Ready, "one failure is below the threshold")
		after(10 * time.Second)
		require.False(t, w.Results("c1").Ready)
		require.Equal(t, []string{Readiness, Readiness}, w.events)
	})
}

func TestStartupHoldsUpLiveness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(corev1.Container{
			StartupProbe:  &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 5},
			LivenessProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 3, TerminationGracePeriodSeconds: ptr.To[int64](7)},
		})
		defer w.Forget("u")
		w.Sync(t.Context(), w.pod, w.runtime, "", false)
		after(3500 * time.Millisecond)
		require.Equal(t, Results{ID: "c1", Ready: true}, w.Results("c1"))
		w.set(true)
		after(time.Second)
		require.True(t, w.Results("c1").Started)
		w.set(false)
		after(2 * time.Second)
		require.Empty(t, w.Results("c1").Failed)
		after(2 * time.Second)
		require.Equal(t, Liveness, w.Results("c1").Failed)
		require.EqualValues(t, 7, *w.Results("c1").Grace)
		asked := w.asked
		after(time.Minute)
		require.Equal(t, asked, w.asked, "a container that is to be restarted is not asked any more")
	})
}

func TestStartupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(corev1.Container{StartupProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 3}})
		defer w.Forget("u")
		w.Sync(t.Context(), w.pod, w.runtime, "", false)
		after(10 * time.Second)
		require.Equal(t, Startup, w.Results("c1").Failed)
	})
}

func TestEndingPodIsNotRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(corev1.Container{LivenessProbe: &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 3}})
		defer w.Forget("u")
		w.Sync(t.Context(), w.pod, w.runtime, "", false)
		after(1500 * time.Millisecond)
		w.Sync(t.Context(), w.pod, w.runtime, "", true)
		after(time.Minute)
		require.Empty(t, w.Results("c1").Failed)
	})
}

// TestCounter: whatever the answers, the result turns only with as many of the same kind in a row as it needs.
func TestCounter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &corev1.Probe{SuccessThreshold: int32(rapid.IntRange(1, 3).Draw(t, "success")), FailureThreshold: int32(rapid.IntRange(1, 3).Draw(t, "failure"))}
		c := newCounter(p, rapid.Bool().Draw(t, "first"))
		answers := rapid.SliceOf(rapid.Bool()).Draw(t, "answers")
		for i, ok := range answers {
			before := c.result
			c.add(ok)
			if c.result == before {
				continue
			}
			need := int(p.FailureThreshold)
			if ok {
				need = int(p.SuccessThreshold)
			}
			require.Equal(t, ok, c.result)
			require.GreaterOrEqual(t, i+1, need)
			for _, a := range answers[i+1-need : i+1] {
				require.Equal(t, ok, a)
			}
		}
	})
}
