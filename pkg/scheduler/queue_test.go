package scheduler

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func testPod(name string, milliCPU int64) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec: v1.PodSpec{SchedulerName: Name, Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{
			Requests: v1.ResourceList{v1.ResourceCPU: *resource.NewMilliQuantity(milliCPU, resource.DecimalSI)},
		}}}},
	}
}

func testNode(name string, milliCPU, memory, pods int64) *v1.Node {
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1.LabelHostname: name}},
		Status: v1.NodeStatus{Allocatable: v1.ResourceList{
			v1.ResourceCPU:    *resource.NewMilliQuantity(milliCPU, resource.DecimalSI),
			v1.ResourceMemory: *resource.NewQuantity(memory, resource.BinarySI),
			v1.ResourcePods:   *resource.NewQuantity(pods, resource.DecimalSI),
		}},
	}
}

func TestQueueOrder(t *testing.T) {
	q := newQueue()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, name := range []string{"second", "first", "urgent"} {
		p := testPod(name, 0)
		p.CreationTimestamp = metav1.NewTime(start.Add(-time.Duration(i) * time.Second))
		if name == "urgent" {
			p.CreationTimestamp = metav1.NewTime(start.Add(time.Hour))
			p.Spec.Priority = ptr.To[int32](100)
		}
		q.set(p)
	}
	for _, want := range []string{"urgent", "first", "second"} {
		if got := q.next(); got == nil || got.pod.Name != want {
			t.Fatalf("next is %v, want %s", got, want)
		}
	}
	if q.next() != nil {
		t.Fatal("the queue should be empty")
	}
}

// TestQueueSleep walks one pod through its states: failed attempts double the back-off, changes wake it but not before
// the back-off is over, and without any change it is tried after unschedulableMax.
func TestQueueSleep(t *testing.T) {
	q := newQueue()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q.set(testPod("p", 0))

	q.failed(q.next(), now)
	if wait := q.awaken(now); wait != unschedulableMax {
		t.Fatalf("sleeps %v, want %v", wait, unschedulableMax)
	}
	q.wake()
	if wait := q.awaken(now); wait != backoffFirst {
		t.Fatalf("woken: sleeps %v more, want %v", wait, backoffFirst)
	}
	now = now.Add(backoffFirst)
	q.awaken(now)

	q.failed(q.next(), now)
	q.wake()
	if wait := q.awaken(now); wait != 2*backoffFirst {
		t.Fatalf("second back-off is %v, want %v", wait, 2*backoffFirst)
	}
	now = now.Add(unschedulableMax)
	q.awaken(now)
	if w := q.next(); w == nil || w.attempts != 2 {
		t.Fatalf("want the pod after unschedulableMax, got %v", w)
	}
}

// TestStatusChangeDoesNotWake: the scheduler's own note on the pod must not make it try again at once, for ever.
func TestStatusChangeDoesNotWake(t *testing.T) {
	q := newQueue()
	p := testPod("p", 0)
	q.set(p)
	q.failed(q.next(), time.Now())
	noted := p.DeepCopy()
	noted.Status.Conditions = []v1.PodCondition{{Type: v1.PodScheduled, Status: v1.ConditionFalse}}
	q.set(noted)
	if q.next() != nil {
		t.Fatal("a change of status alone made the pod ready")
	}
	noted.Generation++
	changed := noted.DeepCopy()
	changed.Generation++
	q.set(changed)
	if q.next() == nil {
		t.Fatal("a change of the spec should make it ready")
	}
}
