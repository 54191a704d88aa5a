package admission

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amountsOf reads "cpu", "1", "memory", "1Gi".
func amountsOf(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func limited(items ...corev1.LimitRangeItem) objects {
	g := cluster()
	g["limitranges/shop/r"] = &corev1.LimitRange{ObjectMeta: named("shop", "r"), Spec: corev1.LimitRangeSpec{Limits: items}}
	return g
}

func asks(requests, limits corev1.ResourceList) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: requests, Limits: limits}
	})
}

func TestLimitRangerFillsIn(t *testing.T) {
	g := limited(corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Default: amountsOf("cpu", "500m", "memory", "512Mi"), DefaultRequest: amountsOf("cpu", "250m")})
	p := asks(amountsOf("cpu", "100m"), nil)
	p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	require.NoError(t, run(t, g, request(Create, "pods", p, nil)))
	require.Equal(t, amountsOf("cpu", "100m"), p.Spec.Containers[0].Resources.Requests)
	require.Equal(t, amountsOf("cpu", "500m", "memory", "512Mi"), p.Spec.Containers[0].Resources.Limits)
	require.Equal(t, amountsOf("cpu", "250m"), p.Spec.InitContainers[0].Resources.Requests)
	require.Equal(t, "LimitRanger plugin set: cpu, memory limit for container a; cpu request for init container init; cpu, memory limit for init container init",
		p.Annotations["kubernetes.io/limit-ranger"])

	untouched := asks(nil, nil)
	require.NoError(t, run(t, g, request(Update, "pods", untouched, pod(nil))))
	require.Empty(t, untouched.Spec.Containers[0].Resources)
}

func TestLimitRangerRefuses(t *testing.T) {
	container := func(i corev1.LimitRangeItem) corev1.LimitRangeItem { i.Type = corev1.LimitTypeContainer; return i }
	whole := func(i corev1.LimitRangeItem) corev1.LimitRangeItem { i.Type = corev1.LimitTypePod; return i }
	const begin = `pods "web" is forbidden: `
	two := asks(amountsOf("cpu", "1"), amountsOf("cpu", "1"))
	two.Spec.Containers = append(two.Spec.Containers, two.Spec.Containers[0])
	for name, tc := range map[string]struct {
		item corev1.LimitRangeItem
		pod  *corev1.Pod
		want string
	}{
		"within":           {container(corev1.LimitRangeItem{Min: amountsOf("cpu", "1"), Max: amountsOf("cpu", "1")}), asks(amountsOf("cpu", "1"), amountsOf("cpu", "1")), ""},
		"nothing stated":   {container(corev1.LimitRangeItem{Min: amountsOf("cpu", "1")}), asks(nil, nil), begin + "minimum cpu usage per Container is 1.  No request is specified"},
		"request too low":  {container(corev1.LimitRangeItem{Min: amountsOf("cpu", "1")}), asks(amountsOf("cpu", "999m"), nil), begin + "minimum cpu usage per Container is 1, but request is 999m"},
		"limit too low":    {container(corev1.LimitRangeItem{Min: amountsOf("cpu", "1")}), asks(amountsOf("cpu", "1"), amountsOf("cpu", "100m")), begin + "minimum cpu usage per Container is 1, but limit is 100m"},
		"no limit":         {container(corev1.LimitRangeItem{Max: amountsOf("memory", "1Gi")}), asks(nil, nil), begin + "maximum memory usage per Container is 1Gi.  No limit is specified"},
		"limit too high":   {container(corev1.LimitRangeItem{Max: amountsOf("memory", "1Gi")}), asks(nil, amountsOf("memory", "1025Mi")), begin + "maximum memory usage per Container is 1Gi, but limit is 1025Mi"},
		"request too high": {container(corev1.LimitRangeItem{Max: amountsOf("memory", "1Gi")}), asks(amountsOf("memory", "2Gi"), amountsOf("memory", "1Gi")), begin + "maximum memory usage per Container is 1Gi, but request is 2Gi"},
		"ratio":            {container(corev1.LimitRangeItem{MaxLimitRequestRatio: amountsOf("cpu", "2")}), asks(amountsOf("cpu", "3"), amountsOf("cpu", "10")), begin + "cpu max limit to request ratio per Container is 2, but provided ratio is 3.333333"},
		"just the ratio":   {container(corev1.LimitRangeItem{MaxLimitRequestRatio: amountsOf("cpu", "2")}), asks(amountsOf("cpu", "3"), amountsOf("cpu", "6")), ""},
		"ratio to nothing": {container(corev1.LimitRangeItem{MaxLimitRequestRatio: amountsOf("cpu", "2")}), asks(nil, amountsOf("cpu", "10")), begin + "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
		"ratio of nothing": {container(corev1.LimitRangeItem{MaxLimitRequestRatio: amountsOf("cpu", "2")}), asks(amountsOf("cpu", "1"), nil), begin + "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"},
		"the whole pod":    {whole(corev1.LimitRangeItem{Max: amountsOf("cpu", "1500m")}), two, begin + "maximum cpu usage per Pod is 1500m, but limit is 2"},
		"all at once": {container(corev1.LimitRangeItem{Min: amountsOf("cpu", "1", "memory", "1Gi")}), asks(nil, nil),
			begin + "[minimum cpu usage per Container is 1.  No request is specified, minimum memory usage per Container is 1Gi.  No request is specified]"},
	} {
		t.Run(name, func(t *testing.T) { check(t, tc.want, run(t, limited(tc.item), request(Create, "pods", tc.pod, nil))) })
	}
}

func TestLimitRangerJudgesWhatChanges(t *testing.T) {
	g := limited(corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amountsOf("cpu", "1", "memory", "1Gi")},
		corev1.LimitRangeItem{Type: corev1.LimitTypePersistentVolumeClaim, Min: amountsOf("storage", "1Gi"), Max: amountsOf("storage", "2Gi")})
	old := asks(nil, amountsOf("cpu", "4", "memory", "1Gi"))
	next := asks(nil, amountsOf("cpu", "4", "memory", "500Mi"))
	next.Spec.ServiceAccountName = "default"
	require.NoError(t, run(t, g, request(Update, "pods/resize", next, old)))
	require.EqualError(t, run(t, g, request(Update, "pods/resize", asks(nil, amountsOf("cpu", "5", "memory", "1Gi")), old)),
		`pods "web" is forbidden: maximum cpu usage per Container is 1, but limit is 5`)

	claim := func(size string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: named("shop", "c"),
			Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: amountsOf("storage", size)}}}
	}
	require.NoError(t, run(t, g, request(Create, "persistentvolumeclaims", claim("2Gi"), nil)))
	require.EqualError(t, run(t, g, request(Create, "persistentvolumeclaims", claim("3Gi"), nil)),
		`persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi`)
	require.EqualError(t, run(t, g, request(Create, "persistentvolumeclaims", claim("1Mi"), nil)),
		`persistentvolumeclaims "c" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi`)
	require.NoError(t, run(t, g, request(Update, "persistentvolumeclaims", claim("3Gi"), claim("3Gi"))))
}
