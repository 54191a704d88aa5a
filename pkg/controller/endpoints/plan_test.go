package endpoints

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		return plan(state{
			service:   plantest.First[*corev1.Service](o),
			pods:      plantest.Of[*corev1.Pod](o),
			endpoints: plantest.First[*corev1.Endpoints](o),
		}, plantest.Now)
	})
}

// More than 1000 addresses are cut off, those that are not ready first, and the object says so until it fits again.
func TestOverCapacity(t *testing.T) {
	s := state{service: &corev1.Service{}}
	s.service.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt(80)}}
	for i := range 1200 {
		p := &corev1.Pod{}
		p.Name, p.Status.Phase = fmt.Sprint(i), corev1.PodRunning
		p.Status.PodIPs = []corev1.PodIP{{IP: fmt.Sprintf("10.0.%d.%d", i/200, i%200+1)}}
		if i%2 == 0 {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		s.pods = append(s.pods, p)
	}
	got, _, _ := desired(s)
	if n, not := len(got.Subsets[0].Addresses), len(got.Subsets[0].NotReadyAddresses); n != 600 || not != 400 {
		t.Errorf("%d ready and %d not ready, want 600 and 400", n, not)
	}
	if got.Annotations[corev1.EndpointsOverCapacity] != "truncated" {
		t.Errorf("annotations %v", got.Annotations)
	}
	s.endpoints, s.pods = got, s.pods[:10]
	if got, _, _ = desired(s); len(got.Annotations) != 0 {
		t.Errorf("annotations %v although it fits", got.Annotations)
	}
}
