package podgc

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile/plantest"
)

func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if change != nil {
		change(p)
	}
	return p
}

func deleting(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: plantest.Now} }

func TestPlan(t *testing.T) {
	pods := []*corev1.Pod{pod("lives", nil), pod("ends", deleting), pod("done", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })}
	missing := plantest.Now.Add(-30 * time.Second)
	down := &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeOutOfService}}}}
	for _, c := range []struct {
		name  string
		state state
		want  string
	}{
		{"the node is there", state{name: "n", node: &corev1.Node{}}, "nothing to do\n"},
		{"without a node", state{}, `
patch Pod default/ends: it is deleted and was never on a node, so nobody else will say that it failed
delete Pod default/ends: it is deleted and was never on a node
`},
		{"just missing", state{name: "n", missing: missing}, "\nwait 10s: node n of 3 pods is not there; it may be registering anew\n"},
		{"gone", state{name: "n", missing: missing, gone: true}, `
patch Pod default/ends: node n no longer exists, so nobody else will say that it failed
patch Pod default/lives: node n no longer exists, so nobody else will say that it failed
delete Pod default/done: node n no longer exists
delete Pod default/ends: node n no longer exists
delete Pod default/lives: node n no longer exists
`},
		{"out of service", state{name: "n", node: down}, `
patch Pod default/ends: it ends on node n, which is out of service, so nobody else will say that it failed
delete Pod default/ends: it ends on node n, which is out of service
`},
	} {
		c.state.pods = pods
		got := "\n"
		for _, a := range plan(c.state, plantest.Now) {
			got += a.String() + "\n"
		}
		if got != c.want && !(got == "\n" && c.want == "nothing to do\n") {
			t.Errorf("%s: got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPlanFinished(t *testing.T) {
	var pods []*corev1.Pod
	for i := range threshold + 2 {
		pods = append(pods, pod(fmt.Sprint(i), func(p *corev1.Pod) { p.CreationTimestamp = metav1.Unix(int64(-i), 0) }))
	}
	p := planFinished(pods, plantest.Now)
	if len(p) != 2 || p[0].Object.GetName() != fmt.Sprint(threshold+1) {
		t.Errorf("%d actions: %v", len(p), p)
	}
}
