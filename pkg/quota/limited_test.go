package quota

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhatIsLimitedNeedsAQuota(t *testing.T) {
	critical := corev1.ScopedResourceSelectorRequirement{ScopeName: corev1.ResourceQuotaScopePriorityClass,
		Operator: corev1.ScopeSelectorOpIn, Values: []string{"critical"}}
	limited := []Limited{{Resource: services.Resource, Contains: []string{"services.node"}}, {Resource: pods.Resource, Scopes: []corev1.ScopedResourceSelectorRequirement{critical}}}
	meter := func(m Meter, o Object) Write { return Write{Meter: m, Next: o} }
	open := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}}}
	closed := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}}
	pod := func(class string) *corev1.Pod { return &corev1.Pod{Spec: corev1.PodSpec{PriorityClassName: class}} }
	of := func(names ...corev1.ResourceName) *corev1.ResourceQuota {
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Status: corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{}}}
		for _, n := range names {
			q.Status.Hard[n] = resource.MustParse("5")
		}
		return q
	}
	scoped := of("pods")
	scoped.Spec.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{critical}}
	for name, tc := range map[string]struct {
		w      Write
		quotas []*corev1.ResourceQuota
		err    string
	}{
		"nobody limits it":           {w: meter(services, closed)},
		"no quota":                   {w: meter(services, open), err: "insufficient quota to consume: services.nodeports"},
		"a quota of something else":  {w: meter(services, open), quotas: []*corev1.ResourceQuota{of("services")}, err: "insufficient quota to consume: services.nodeports"},
		"a quota":                    {w: meter(services, open), quotas: []*corev1.ResourceQuota{of("services.nodeports")}},
		"it had that before":         {w: Write{Meter: services, Next: open, Old: open}},
		"no scope":                   {w: meter(pods, pod("low"))},
		"a scope without a quota":    {w: meter(pods, pod("critical")), err: "insufficient quota to match these scopes: [{PriorityClass In [critical]}]"},
		"a quota without the scope":  {w: meter(pods, pod("critical")), quotas: []*corev1.ResourceQuota{of("pods")}, err: "insufficient quota to match these scopes: [{PriorityClass In [critical]}]"},
		"a quota that has the scope": {w: meter(pods, pod("critical")), quotas: []*corev1.ResourceQuota{scoped}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Covered(limited, tc.quotas, tc.w, time.Unix(0, 0))
			if tc.err == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, tc.err)
		})
	}
}
