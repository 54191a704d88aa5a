package tainteviction

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

func TestPlan(t *testing.T) {
	ago := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: plantest.Now.Add(-d)} }
	taint := func(key string, since time.Duration) corev1.Taint {
		return corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute, TimeAdded: ago(since)}
	}
	tolerate := func(key string, seconds ...int64) corev1.Toleration {
		o := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if len(seconds) > 0 {
			o.TolerationSeconds = &seconds[0]
		}
		return o
	}
	for _, c := range []struct {
		name        string
		taints      []corev1.Taint
		tolerations []corev1.Toleration
		started     *metav1.Time
		verb        reconcile.Verb
		wait        time.Duration
	}{
		{"no taint", nil, nil, nil, "", 0},
		{"not tolerated", []corev1.Taint{taint("a", 0)}, nil, nil, reconcile.Delete, 0},
		{"tolerated for ever", []corev1.Taint{taint("a", time.Hour)}, []corev1.Toleration{tolerate("a")}, nil, "", 0},
		{"tolerated for five minutes", []corev1.Taint{taint("a", time.Minute)}, []corev1.Toleration{tolerate("a", 300)}, nil, reconcile.Wait, 4 * time.Minute},
		{"they are over", []corev1.Taint{taint("a", 5*time.Minute)}, []corev1.Toleration{tolerate("a", 300)}, nil, reconcile.Delete, 0},
		{"the pod came after the taint", []corev1.Taint{taint("a", time.Hour)}, []corev1.Toleration{tolerate("a", 300)}, ago(time.Minute), reconcile.Wait, 4 * time.Minute},
		{"one of two is not tolerated", []corev1.Taint{taint("a", 0), taint("b", 0)}, []corev1.Toleration{tolerate("a")}, nil, reconcile.Delete, 0},
		{"the shorter of two", []corev1.Taint{taint("a", 0), taint("b", 0)}, []corev1.Toleration{tolerate("a", 60), tolerate("b", 30)}, nil, reconcile.Wait, 30 * time.Second},
		{"a negative number is none", []corev1.Taint{taint("a", 0)}, []corev1.Toleration{tolerate("a", -5)}, nil, reconcile.Delete, 0},
	} {
		pod := &corev1.Pod{}
		pod.Spec.Tolerations, pod.Status.StartTime = c.tolerations, c.started
		var last reconcile.Action
		for _, a := range plan(state{pod, c.taints}, plantest.Now) {
			last = a
		}
		if last.Verb != c.verb || last.After != c.wait {
			t.Errorf("%s: %v", c.name, last)
		}
	}
}
