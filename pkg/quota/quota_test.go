package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

var now = time.Unix(1e9, 0)

// list reads "cpu", "1", "memory", "1Gi".
func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func pod(requests, limits corev1.ResourceList, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a",
		Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}}}}
	p.Status.QOSClass = corev1.PodQOSBurstable
	for _, f := range change {
		f(p)
	}
	return p
}

func deleted(ago, grace time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		at := metav1.NewTime(now.Add(-ago))
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, ptr.To(int64(grace.Seconds()))
	}
}

func TestUse(t *testing.T) {
	service := func(kind corev1.ServiceType, allocate bool, nodePorts ...int32) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, AllocateLoadBalancerNodePorts: &allocate}}
		for _, p := range nodePorts {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{NodePort: p})
		}
		return s
	}
	claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: ptr.To("gold"),
		Resources: corev1.VolumeResourceRequirements{Requests: list("storage", "1Gi")}}}
	shrinking := claim.DeepCopy()
	shrinking.Status.AllocatedResources = list("storage", "3Gi")
	devices := &resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{
		{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 2}},
		{FirstAvailable: []resourcev1.DeviceSubRequest{
			{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1},
			{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 3},
			{DeviceClassName: "nic", AllocationMode: resourcev1.DeviceAllocationModeAll}}},
	}}}}
	for name, tc := range map[string]struct {
		resource string
		o        Object
		want     string
	}{
		"a pod that asks for nothing": {"pods", pod(nil, nil), "count/pods=1,pods=1"},
		"a pod that asks": {"pods", pod(list("cpu", "1", "memory", "1Gi", "example.com/gpu", "2", "hugepages-2Mi", "4Mi"), list("cpu", "2")),
			"count/pods=1,cpu=1,hugepages-2Mi=4Mi,limits.cpu=2,memory=1Gi,pods=1,requests.cpu=1,requests.example.com/gpu=2,requests.hugepages-2Mi=4Mi,requests.memory=1Gi"},
		"a pod that has ended":         {"pods", pod(list("cpu", "1"), nil, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), "count/pods=1"},
		"a pod that is being deleted":  {"pods", pod(list("cpu", "1"), nil, deleted(time.Second, 30*time.Second)), "count/pods=1,cpu=1,pods=1,requests.cpu=1"},
		"a pod that should be gone":    {"pods", pod(list("cpu", "1"), nil, deleted(time.Minute, 30*time.Second)), "count/pods=1"},
		"a service":                    {"services", service(corev1.ServiceTypeClusterIP, true, 0), "count/services=1,services=1,services.loadbalancers=0,services.nodeports=0"},
		"a service with node ports":    {"services", service(corev1.ServiceTypeNodePort, true, 0, 0), "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2"},
		"a load balancer":              {"services", service(corev1.ServiceTypeLoadBalancer, true, 0, 0), "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"},
		"a load balancer, few ports":   {"services", service(corev1.ServiceTypeLoadBalancer, false, 0, 30000), "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1"},
		"a claim":                      {"persistentvolumeclaims", claim, "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/requests.storage=1Gi,persistentvolumeclaims=1,requests.storage=1Gi"},
		"a claim that has grown":       {"persistentvolumeclaims", shrinking, "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/requests.storage=3Gi,persistentvolumeclaims=1,requests.storage=3Gi"},
		"a claim to devices":           {"resourceclaims.resource.k8s.io", devices, "count/resourceclaims.resource.k8s.io=1,gpu.deviceclass.resource.k8s.io/devices=5,nic.deviceclass.resource.k8s.io/devices=32"},
		"an object with an older name": {"secrets", &corev1.Secret{}, "count/secrets=1,secrets=1"},
		"an object of any kind":        {"widgets.example.com", &metav1.ObjectMeta{}, "count/widgets.example.com=1"},
	} {
		t.Run(name, func(t *testing.T) {
			m, ok := For(schema.ParseGroupResource(tc.resource))
			require.True(t, ok)
			use := m.Use(tc.o, now)
			require.Equal(t, tc.want, text(use))
			for name := range use {
				require.True(t, m.Counts(name), name)
				require.Contains(t, Counted(corev1.ResourceList{name: one}), m.Resource, name)
			}
		})
	}
	_, ok := For(schema.GroupResource{Resource: "events"})
	require.False(t, ok)
}

func TestScopes(t *testing.T) {
	scope := func(name corev1.ResourceQuotaScope, op corev1.ScopeSelectorOperator, values ...string) corev1.ScopedResourceSelectorRequirement {
		return corev1.ScopedResourceSelectorRequirement{ScopeName: name, Operator: op, Values: values}
	}
	exists := corev1.ScopeSelectorOpExists
	plain := pod(nil, nil)
	best := pod(nil, nil, func(p *corev1.Pod) { p.Status.QOSClass = corev1.PodQOSBestEffort })
	timed := pod(nil, nil, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To(int64(1)) })
	high := pod(nil, nil, func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" })
	far := pod(nil, nil, func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
			{PodAffinityTerm: corev1.PodAffinityTerm{NamespaceSelector: &metav1.LabelSelector{}}}}}}
	})
	all := map[string]Object{"plain": plain, "best": best, "timed": timed, "high": high, "far": far}
	for _, tc := range []struct {
		s  corev1.ScopedResourceSelectorRequirement
		in string
	}{
		{scope(corev1.ResourceQuotaScopeTerminating, exists), "timed"},
		{scope(corev1.ResourceQuotaScopeNotTerminating, exists), "best far high plain"},
		{scope(corev1.ResourceQuotaScopeBestEffort, exists), "best"},
		{scope(corev1.ResourceQuotaScopeNotBestEffort, exists), "far high plain timed"},
		{scope(corev1.ResourceQuotaScopePriorityClass, exists), "high"},
		{scope(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpDoesNotExist), "best far plain timed"},
		{scope(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpIn, "high", "low"), "high"},
		{scope(corev1.ResourceQuotaScopePriorityClass, corev1.ScopeSelectorOpNotIn, "high"), "best far plain timed"},
		{scope(corev1.ResourceQuotaScopeCrossNamespacePodAffinity, exists), "far"},
		{scope(corev1.ResourceQuotaScopeVolumeAttributesClass, exists), ""},
	} {
		got := ""
		for _, name := range []string{"best", "far", "high", "plain", "timed"} {
			if pods.In(tc.s, all[name]) {
				got += " " + name
			}
		}
		if got != "" {
			got = got[1:]
		}
		require.Equal(t, tc.in, got, fmt.Sprint(tc.s))
	}
	claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeAttributesClassName: ptr.To("fast")}}
	require.True(t, claims.In(scope(corev1.ResourceQuotaScopeVolumeAttributesClass, corev1.ScopeSelectorOpIn, "fast"), claim))
	require.False(t, claims.In(scope(corev1.ResourceQuotaScopeVolumeAttributesClass, corev1.ScopeSelectorOpDoesNotExist), claim))
}

func quotaOf(hard, used corev1.ResourceList) *corev1.ResourceQuota {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}}
	q.Spec.Hard, q.Status.Hard, q.Status.Used = hard, hard, used
	return q
}

func TestCharge(t *testing.T) {
	small, large := pod(list("cpu", "1"), nil), pod(list("cpu", "3"), nil)
	scoped := quotaOf(list("pods", "0"), list("pods", "0"))
	scoped.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
	timed := pod(nil, nil, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To(int64(1)) })
	terminating := quotaOf(list("pods", "2"), list("pods", "1"))
	terminating.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating}
	two := pod(nil, nil, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}, {Name: "a"}}
	})
	for name, tc := range map[string]struct {
		q         *corev1.ResourceQuota
		next, old *corev1.Pod
		want      string // status.used, "" if it stays; or the refusal
	}{
		"fits":            {quotaOf(list("pods", "1"), list("pods", "0")), small, nil, "pods=1"},
		"other resources": {quotaOf(list("services", "1"), list("services", "1")), small, nil, ""},
		"full": {quotaOf(list("pods", "1", "requests.cpu", "4"), list("pods", "1", "requests.cpu", "500m")), small, nil,
			"exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"},
		"two are full": {quotaOf(list("pods", "1", "cpu", "2"), list("pods", "1", "cpu", "2")), small, nil,
			"exceeded quota: q, requested: cpu=1,pods=1, used: cpu=2,pods=1, limited: cpu=2,pods=1"},
		"says too little":     {quotaOf(list("limits.cpu", "1", "memory", "1"), list()), two, nil, "failed quota: q: must specify limits.cpu for: a,init; memory for: a,init"},
		"nobody counted yet":  {quotaOf(list("pods", "1", "count/pods", "2"), nil), small, nil, "status unknown for quota: q, resources: count/pods,pods"},
		"not in scope":        {scoped, small, nil, ""},
		"grows":               {quotaOf(list("requests.cpu", "4"), list("requests.cpu", "1")), large, small, "requests.cpu=3"},
		"shrinks":             {quotaOf(list("requests.cpu", "4"), list("requests.cpu", "9")), small, large, ""},
		"comes into scope":    {terminating, timed, small, "pods=2"},
		"was in scope before": {terminating, timed, timed, ""},
		"below nothing":       {quotaOf(list("requests.cpu", "4"), list("requests.cpu", "1")), pod(list("cpu", "-1"), nil), nil, "quota usage is negative for resource(s): cpu,requests.cpu"},
	} {
		t.Run(name, func(t *testing.T) {
			w := Write{Meter: pods, Next: tc.next}
			if tc.old != nil {
				w.Old = tc.old
			}
			used, err := Charge([]*corev1.ResourceQuota{tc.q}, w, now)
			if err != nil {
				require.Equal(t, tc.want, err.Error())
				return
			}
			require.Equal(t, tc.want, text(used[0]))
		})
	}
}

// TestChargeIsCount charges pods one by one, and counts at each step what it finds.
func TestChargeIsCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hard := list("pods", "6", "count/pods", "7", "requests.cpu", "9", "limits.memory", "20Gi")
		q := quotaOf(hard, pods.Count(quotaOf(hard, nil), nil, now))
		var all []Object
		for range rapid.IntRange(0, 12).Draw(t, "pods") {
			cpu := fmt.Sprint(rapid.IntRange(0, 3000).Draw(t, "cpu"), "m")
			p := pod(list("cpu", cpu), list("memory", fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "memory"), "Gi")))
			used, err := Charge([]*corev1.ResourceQuota{q}, Write{Meter: pods, Next: p}, now)
			if err != nil {
				continue
			}
			if used[0] != nil {
				q.Status.Used = used[0]
			}
			all = append(all, p)
			counted := pods.Count(q, all, now)
			if !Equal(counted, q.Status.Used) {
				t.Fatalf("charged %s, counted %s", text(q.Status.Used), text(counted))
			}
			for name, most := range hard {
				if most.Cmp(counted[name]) < 0 {
					t.Fatalf("%s: %s", name, text(counted))
				}
			}
		}
	})
}
