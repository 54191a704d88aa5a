package nodelifecycle

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

// TestPlan judges the first node of each file; its annotation "heard" is how long ago it was heard of.
func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		s := state{node: plantest.First[*corev1.Node](o), nodes: plantest.Of[*corev1.Node](o), pods: plantest.Of[*corev1.Pod](o)}
		ago, err := time.ParseDuration(s.node.Annotations["heard"])
		if err != nil {
			t.Fatal(err)
		}
		s.heard = plantest.Now.Add(-ago)
		return plan(s, plantest.Now)
	})
}

func node(status corev1.ConditionStatus) *corev1.Node {
	n := &corev1.Node{}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	return n
}

func TestPace(t *testing.T) {
	for _, c := range []struct {
		up, down int
		healthy  bool
		pace     time.Duration
	}{
		{0, 1, false, 0}, {0, 9, false, 0}, {1, 1, true, 10 * time.Second}, {1, 2, true, 10 * time.Second},
		{2, 3, true, 0}, {5, 4, true, 10 * time.Second}, {20, 40, true, 100 * time.Second},
	} {
		var nodes []*corev1.Node
		for range c.up {
			nodes = append(nodes, node(corev1.ConditionTrue))
		}
		for range c.down {
			nodes = append(nodes, node(corev1.ConditionUnknown))
		}
		if healthy, pace := paceOf(nodes); healthy != c.healthy || pace != c.pace {
			t.Errorf("%d up, %d down: %v, %s", c.up, c.down, healthy, pace)
		}
	}
}

// Signs of life are compared with what was seen before, not with the clock of the node.
func TestLastSign(t *testing.T) {
	o := &observer{heard: map[string]sign{}}
	n := node(corev1.ConditionTrue)
	n.Status.Conditions[0].LastHeartbeatTime = metav1.Unix(1, 0) // its clock is decades behind
	first := o.lastSign(n, nil)
	if got := o.lastSign(n, nil); !got.Equal(first) {
		t.Errorf("without a sign heard at %s, want %s", got, first)
	}
	n.Status.Conditions[0].LastHeartbeatTime = metav1.Unix(2, 0)
	if got := o.lastSign(n, nil); !got.After(first) {
		t.Error("a heartbeat was not heard")
	}
	last := o.lastSign(n, nil)
	n.Status.Conditions[0].Status = corev1.ConditionUnknown // this controller's own write is no sign of life
	n.Status.Conditions[0].LastHeartbeatTime = metav1.Unix(3, 0)
	if got := o.lastSign(n, nil); !got.Equal(last) {
		t.Error("the controller's own status update was taken for a heartbeat")
	}
}
