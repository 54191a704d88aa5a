package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

// keepStatus gives a created pod the status that a test wants it to have had.
func keepStatus(created, wanted Object) {
	p, s := created.(*corev1.Pod), wanted.(*corev1.Pod).Status
	if s.Phase != "" || len(s.ContainerStatuses) > 0 || len(s.InitContainerStatuses) > 0 || len(s.Conditions) > 0 {
		s.QOSClass = p.Status.QOSClass
		p.Status = s
	}
}

func TestPodGrace(t *testing.T) {
	pod := func(node string, phase corev1.PodPhase, grace int64) *corev1.Pod {
		return &corev1.Pod{
			Spec:   corev1.PodSpec{NodeName: node, TerminationGracePeriodSeconds: &grace},
			Status: corev1.PodStatus{Phase: phase},
		}
	}
	for name, c := range map[string]struct {
		pod   *corev1.Pod
		asked *int64
		want  int64
	}{
		"the pod's own":         {pod("a", corev1.PodRunning, 30), nil, 30},
		"asked for more":        {pod("a", corev1.PodRunning, 30), ptr.To[int64](90), 90},
		"asked for none":        {pod("a", corev1.PodRunning, 30), ptr.To[int64](0), 0},
		"negative":              {pod("a", corev1.PodRunning, 30), ptr.To[int64](-5), 1},
		"never scheduled":       {pod("", corev1.PodPending, 30), ptr.To[int64](90), 0},
		"has run to its end":    {pod("a", corev1.PodSucceeded, 30), ptr.To[int64](90), 0},
		"has failed":            {pod("a", corev1.PodFailed, 30), nil, 0},
		"negative but finished": {pod("a", corev1.PodFailed, -1), nil, 0},
		"no grace is written":   {&corev1.Pod{Spec: corev1.PodSpec{NodeName: "a"}}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, podGrace(c.pod, c.asked)) })
	}
}

func TestPodFields(t *testing.T) {
	got := pods().Fields(&corev1.Pod{
		Spec: corev1.PodSpec{
			NodeName: "n", RestartPolicy: "Never", SchedulerName: "s", ServiceAccountName: "a", HostNetwork: true,
		},
		Status: corev1.PodStatus{Phase: "Running", PodIP: "10.0.0.1", NominatedNodeName: "m"},
	})
	require.Equal(t, map[string]string{
		"spec.nodeName": "n", "spec.restartPolicy": "Never", "spec.schedulerName": "s", "spec.serviceAccountName": "a",
		"spec.hostNetwork": "true", "status.phase": "Running", "status.podIP": "10.0.0.1", "status.podIPs": "", "status.nominatedNodeName": "m",
	}, got)
}

func TestScale(t *testing.T) {
	for _, r := range []*Row{deployments(), replicaSets()} {
		obj := document(t, r, map[string][]byte{"Deployment": []byte(baseDeployment), "ReplicaSet": []byte(baseReplicaSet)}[r.Kind])
		require.Equal(t, ScaleState{Spec: 1, Selector: "app=web"}, r.Scale.Get(obj))
		r.Scale.Set(obj, 5)
		require.Equal(t, ScaleState{Spec: 5, Selector: "app=web"}, r.Scale.Get(obj))
	}
	odd := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"y", "x"}}},
	}}}
	require.Equal(t, "a in (x,y)", replicaSets().Scale.Get(odd).Selector)
}

// TestStatusKeeps: a kubelet that leaves out what it does not know must not erase it.
func TestStatusKeeps(t *testing.T) {
	old := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Generation: 3, DeletionTimestamp: &metav1.Time{Time: time.Unix(1e9, 0)}, OwnerReferences: []metav1.OwnerReference{{Name: "rs"}}},
		Spec:       corev1.PodSpec{NodeName: "a"},
		Status: corev1.PodStatus{QOSClass: corev1.PodQOSBurstable, ObservedGeneration: 3, Conditions: []corev1.PodCondition{
			{Type: "Ready", ObservedGeneration: 2}, {Type: "Ready", ObservedGeneration: 3}, {Type: "Other"},
		}},
	}
	next := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
		{Type: "Ready"}, {Type: "Ready", ObservedGeneration: 9}, {Type: "Ready"},
	}}}
	preparePodStatus(next, old)
	require.Equal(t, old.ObjectMeta, next.ObjectMeta)
	require.Equal(t, old.Spec, next.Spec)
	require.Equal(t, corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, ObservedGeneration: 3, Conditions: []corev1.PodCondition{
			{Type: "Ready", ObservedGeneration: 2}, {Type: "Ready", ObservedGeneration: 9}, {Type: "Ready"},
		},
	}, next.Status)
}

func TestQOS(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		l := corev1.ResourceList{}
		if cpu != "" {
			l[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			l[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return l
	}
	none := corev1.ResourceRequirements{}
	exact := corev1.ResourceRequirements{Requests: list("1", "1Gi"), Limits: list("1000m", "1024Mi")}
	loose := corev1.ResourceRequirements{Requests: list("1", "1Gi"), Limits: list("2", "1Gi")}
	half := corev1.ResourceRequirements{Requests: list("1", ""), Limits: list("1", "")}
	zero := corev1.ResourceRequirements{Requests: list("0", "0"), Limits: list("0", "0")}
	for name, c := range map[string]struct {
		init, main []corev1.ResourceRequirements
		pod        *corev1.ResourceRequirements
		want       corev1.PodQOSClass
	}{
		"nothing asked":               {main: []corev1.ResourceRequirements{none}, want: corev1.PodQOSBestEffort},
		"zero is nothing":             {main: []corev1.ResourceRequirements{zero}, want: corev1.PodQOSBestEffort},
		"equal amounts":               {main: []corev1.ResourceRequirements{exact, exact}, want: corev1.PodQOSGuaranteed},
		"one may burst":               {main: []corev1.ResourceRequirements{exact, loose}, want: corev1.PodQOSBurstable},
		"one asks nothing":            {main: []corev1.ResourceRequirements{exact, none}, want: corev1.PodQOSBurstable},
		"no memory":                   {main: []corev1.ResourceRequirements{half}, want: corev1.PodQOSBurstable},
		"init containers count":       {init: []corev1.ResourceRequirements{none}, main: []corev1.ResourceRequirements{exact}, want: corev1.PodQOSBurstable},
		"the pod's own come first":    {main: []corev1.ResourceRequirements{none}, pod: &exact, want: corev1.PodQOSGuaranteed},
		"the pod's own may be a part": {main: []corev1.ResourceRequirements{exact}, pod: &half, want: corev1.PodQOSBurstable},
	} {
		t.Run(name, func(t *testing.T) {
			containers := func(list []corev1.ResourceRequirements) (all []corev1.Container) {
				for _, r := range list {
					all = append(all, corev1.Container{Resources: r})
				}
				return all
			}
			require.Equal(t, c.want, podQOS(&corev1.PodSpec{InitContainers: containers(c.init), Containers: containers(c.main), Resources: c.pod}))
		})
	}
}

// TestPartsCopeWithAnything: no pod that decodes may panic the rules of a subresource.
func TestPartsCopeWithAnything(t *testing.T) {
	row := pods()
	f := filler(2)
	old := row.StorageVersion().New()
	for range objectsPerKind {
		next := random(f, row.StorageVersion())
		for _, s := range row.Subresources {
			if s.Update != nil {
				changed := next.DeepCopyObject().(Object)
				s.Update.Validate(changed, old)
				s.Update.Prepare(changed, old)
				s.Update.Validate(changed, old)
			}
		}
		old = next
	}
}

// TestSubresources is what discovery lists besides status.
func TestSubresources(t *testing.T) {
	var lines []string
	for _, s := range pods().Subresources {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", s.Name, s.GroupVersion, s.Kind, strings.Join(s.Verbs, ",")))
	}
	require.Equal(t, []string{
		"attach v1 PodAttachOptions create,get",
		"binding v1 Binding create",
		"ephemeralcontainers v1 Pod get,patch,update",
		"eviction policy/v1 Eviction create",
		"exec v1 PodExecOptions create,get",
		"log v1 Pod get",
		"portforward v1 PodPortForwardOptions create,get",
		"proxy v1 PodProxyOptions create,delete,get,patch,update",
		"resize v1 Pod get,patch,update",
	}, lines)
}

// someResources draws requests and limits that fit together.
func someResources(t *rapid.T, label string) (r corev1.ResourceRequirements) {
	for name, amounts := range sorted(map[corev1.ResourceName][]string{
		corev1.ResourceCPU:    {"100m", "0.0001", "1500m"},
		corev1.ResourceMemory: {"64Mi", "100m", "1Gi"},
		"example.com/gpu":     {"1", "1", "1"},
	}) {
		set := rapid.SampledFrom([]string{"", "limit", "both"}).Draw(t, label+" "+string(name))
		if set != "" {
			r.Limits = addMissing(r.Limits, name, resource.MustParse(amounts[2]))
		}
		if set == "both" {
			r.Requests = addMissing(r.Requests, name, resource.MustParse(rapid.SampledFrom(amounts).Draw(t, label+" request")))
		}
	}
	return r
}

// someContainer draws one whose port no other has; it may mount the volume v.
func someContainer(t *rapid.T, name string, port int32) corev1.Container {
	flip := rapid.Bool()
	c := corev1.Container{
		Name: name, Resources: someResources(t, name),
		Image: rapid.SampledFrom([]string{"nginx", "nginx:1.27", "nginx:latest", "a.b/c@sha256:" + sha}).Draw(t, "image"),
	}
	if flip.Draw(t, "port") {
		c.Ports = []corev1.ContainerPort{{ContainerPort: port}}
	}
	if flip.Draw(t, "mount") {
		c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/data"}}
	}
	return c
}

// somePod draws a valid pod.
func somePod(t *rapid.T) *corev1.Pod {
	flip := rapid.Bool()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", Labels: map[string]string{"app": "web"}}}
	s := &p.Spec
	s.HostNetwork = flip.Draw(t, "host network")
	s.Volumes = []corev1.Volume{{Name: "v"}}
	s.Containers = []corev1.Container{someContainer(t, "a", 1), someContainer(t, "b", 2)}
	if flip.Draw(t, "probe") {
		s.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
	}
	if flip.Draw(t, "init") {
		s.InitContainers = []corev1.Container{someContainer(t, "i", 3)}
		if flip.Draw(t, "sidecar") {
			s.InitContainers[0].RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
	}
	if flip.Draw(t, "spread") {
		s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule, MatchLabelKeys: []string{"app"},
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"x": "y"}},
		}}
	}
	if flip.Draw(t, "gate") {
		s.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
	}
	if flip.Draw(t, "pod resources") {
		s.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10")}}
		s.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("10Gi")}
	}
	return p
}

const sha = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestAcceptedStaysAccepted: what a create accepts, a client may read and write back: it is accepted again, and nothing
// has changed.
func TestAcceptedStaysAccepted(t *testing.T) {
	row := pods()
	rapid.Check(t, func(t *rapid.T) {
		p := somePod(t)
		row.Default(p)
		row.PrepareCreate(p)
		require.Equal(t, "accepted\n", causes(row.Validate(p)))
		p.ResourceVersion = "7"
		b, err := json.Marshal(p)
		require.NoError(t, err)
		next := &corev1.Pod{}
		require.NoError(t, json.Unmarshal(b, next))
		row.Default(next)
		row.PrepareUpdate(next, p)
		require.Equal(t, "accepted\n", causes(row.ValidateUpdate(next, p)))
		require.True(t, same(p, next), "a write of what was read changes the object")
	})
}

// leaf is one scalar of a document: where it stands, and how to change it.
type leaf struct {
	path   string
	change func()
}

// leaves are the scalars below v, in an order of their own.
func leaves(v any, path string, set func(any)) []leaf {
	var all []leaf
	switch v := v.(type) {
	case map[string]any:
		for k, child := range sorted(v) {
			all = append(all, leaves(child, path+"."+k, func(c any) { v[k] = c })...)
		}
	case []any:
		for i, child := range v {
			all = append(all, leaves(child, path+"[]", func(c any) { v[i] = c })...)
		}
	case string:
		all = append(all, leaf{path, func() { set(v + "x") }})
	case float64:
		all = append(all, leaf{path, func() { set(v + 1) }})
	case bool:
		all = append(all, leaf{path, func() { set(!v) }})
	}
	return all
}

// TestSpecIsFixed: of all scalars in a spec, an update may change the images only.
func TestSpecIsFixed(t *testing.T) {
	row := pods()
	rapid.Check(t, func(t *rapid.T) {
		p := somePod(t)
		row.Default(p)
		row.PrepareCreate(p)
		p.ResourceVersion = "7"
		b, err := json.Marshal(p)
		require.NoError(t, err)
		var doc map[string]any
		require.NoError(t, json.Unmarshal(b, &doc))
		l := rapid.SampledFrom(leaves(doc["spec"], "spec", nil)).Draw(t, "leaf")
		l.change()
		b, err = json.Marshal(doc)
		require.NoError(t, err)
		next := &corev1.Pod{}
		if json.Unmarshal(b, next) != nil {
			return // no quantity any more
		}
		row.Default(next)
		row.PrepareUpdate(next, p)
		accepted := len(row.ValidateUpdate(next, p)) == 0
		require.Equal(t, strings.HasSuffix(l.path, "ontainers[].image"), accepted, l.path)
	})
}
