package integration

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"sigs.k8s.io/yaml"

	rows "bonsai/pkg/resource"
)

// makeLeast makes an object of a kind with no more than it needs.
func (s *server) makeLeast(row *rows.Row, name string) string {
	s.Helper()
	gvk := row.GVK()
	var body map[string]any
	require.NoError(s, yaml.Unmarshal([]byte(least[gvk.GroupVersion().String()+" "+gvk.Kind]), &body))
	body["apiVersion"], body["kind"] = gvk.GroupVersion().String(), gvk.Kind
	body["metadata"] = map[string]any{"name": name, "namespace": "default"}
	b, err := json.Marshal(body)
	require.NoError(s, err)
	group := "/apis/" + gvk.GroupVersion().String()
	if gvk.Group == "" {
		group = "/api/v1"
	}
	path := group + "/namespaces/default/" + row.Resource
	a := s.send("POST "+path, b)
	require.Equal(s, 201, a.code, "%s", a.body)
	return path + "/" + name
}

// Whatever can be scaled is scaled alike, by one who knows nothing of the kind: by the client of kubectl scale and of
// autoscalers.
func TestScale(t *testing.T) {
	s := startServer(t)
	resources, err := restmapper.GetAPIGroupResources(s.client.Discovery())
	require.NoError(t, err)
	client, err := scale.NewForConfig(s.config, restmapper.NewDiscoveryRESTMapper(resources), dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(s.client.Discovery()))
	require.NoError(t, err)
	var scaled []string
	for _, row := range rows.Table() {
		if row.Scale == nil {
			continue
		}
		scaled = append(scaled, row.Resource)
		t.Run(row.Resource, func(t *testing.T) { rescale(t, s, client.Scales("default"), row) })
	}
	require.ElementsMatch(t, []string{"deployments", "replicasets", "statefulsets", "replicationcontrollers"}, scaled)
}

func rescale(t *testing.T, s *server, scales scale.ScaleInterface, row *rows.Row) {
	path := s.makeLeast(row, "web")
	ctx, gr := t.Context(), row.Versions[0].WithResource(row.Resource).GroupResource()
	now, err := scales.Get(ctx, gr, "web", metav1.GetOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, now.Spec.Replicas)
	require.Equal(t, "app=web", now.Status.Selector)

	stale := now.DeepCopy()
	now.Spec.Replicas = 3
	now, err = scales.Update(ctx, gr, now, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 3, now.Spec.Replicas)
	_, err = scales.Update(ctx, gr, stale, metav1.UpdateOptions{})
	require.True(t, apierrors.IsConflict(err), "%v", err)

	gvr := gr.WithVersion(row.Versions[0].Version)
	now, err = scales.Patch(ctx, gvr, "web", types.MergePatchType, []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 5, now.Spec.Replicas)
	_, err = scales.Patch(ctx, gvr, "web", types.MergePatchType, []byte(`{"spec":{"replicas":-5}}`), metav1.PatchOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)

	var o struct {
		Metadata metav1.ObjectMeta
		Spec     struct{ Replicas int32 }
	}
	require.NoError(t, json.Unmarshal(s.send("GET "+path, nil).body, &o))
	require.EqualValues(t, 5, o.Spec.Replicas)
	require.EqualValues(t, 3, o.Metadata.Generation, "who scales wants something else of the controller")
	var shown autoscalingv1.Scale
	require.NoError(t, json.Unmarshal(s.send("GET "+path+"/scale", nil).body, &shown))
	require.Equal(t, metav1.TypeMeta{APIVersion: "autoscaling/v1", Kind: "Scale"}, shown.TypeMeta)
}

// A Job tells its pods from all others by itself; who deletes one without a word about its pods is warned that they stay.
func TestJob(t *testing.T) {
	s := startServer(t)
	jobs := s.client.BatchV1().Jobs("default")
	job, err := jobs.Create(t.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "pi"}, Spec: batchv1.JobSpec{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	uid := string(job.UID)
	require.Equal(t, map[string]string{batchv1.ControllerUidLabel: uid}, job.Spec.Selector.MatchLabels)
	require.Equal(t, map[string]string{
		batchv1.ControllerUidLabel: uid, "controller-uid": uid, batchv1.JobNameLabel: "pi", "job-name": "pi",
	}, job.Spec.Template.Labels)

	a := s.send("DELETE /apis/batch/v1/namespaces/default/jobs/pi", nil)
	require.Equal(t, 200, a.code, "%s", a.body)
	require.Contains(t, a.header.Get("Warning"), "child pods are preserved by default when jobs are deleted")
	job, err = jobs.Get(t.Context(), "pi", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{metav1.FinalizerOrphanDependents}, job.Finalizers)
}

// What a kind keeps of another in a list is shown with its kind in JSON, though the store's encoding has no place for it.
func TestClaimTemplatesKeepTheirKind(t *testing.T) {
	s := startServer(t)
	made := s.send("POST /apis/apps/v1/namespaces/default/statefulsets", []byte(`{"metadata": {"name": "db"}, "spec": {
		"selector": {"matchLabels": {"app": "db"}}, "serviceName": "db",
		"template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
		"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}}`))
	require.Equal(t, 201, made.code, "%s", made.body)
	for _, a := range []answer{made, s.send("GET /apis/apps/v1/namespaces/default/statefulsets/db", nil)} {
		require.Contains(t, string(a.body), `"volumeClaimTemplates":[{"kind":"PersistentVolumeClaim","apiVersion":"v1",`)
	}
}

// A client such as kubectl drain is told to come again for what a budget protects, and why.
func TestDrain(t *testing.T) {
	s := startServer(t)
	ctx, pods, budgets := t.Context(), s.client.CoreV1().Pods("default"), s.client.PolicyV1().PodDisruptionBudgets("default")
	s.runPod("web")
	evict := func() error {
		return pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "web"}})
	}
	budget, err := budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	budget.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, CurrentHealthy: 1, DesiredHealthy: 1, ExpectedPods: 1}
	budget, err = budgets.UpdateStatus(ctx, budget, metav1.UpdateOptions{})
	require.NoError(t, err)
	err = evict()
	require.EqualError(t, err, "Cannot evict pod as it would violate the pod's disruption budget.")
	require.True(t, apierrors.IsTooManyRequests(err) && apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause))

	budget.Status.DesiredHealthy, budget.Status.DisruptionsAllowed = 0, 1
	_, err = budgets.UpdateStatus(ctx, budget, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, evict())
	budget, err = budgets.Get(ctx, "web", metav1.GetOptions{})
	require.NoError(t, err)
	require.Zero(t, budget.Status.DisruptionsAllowed)
	require.Contains(t, budget.Status.DisruptedPods, "web")
}

// runPod makes a pod on a node, and says that it runs there.
func (s *server) runPod(name string) *corev1.Pod {
	s.Helper()
	s.serviceAccount("default")
	ctx, pods := s.Context(), s.client.CoreV1().Pods("default")
	_, err := s.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelOSStable: "linux"}},
		Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8")}},
	}, metav1.CreateOptions{})
	require.NoError(s, err)
	amount := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	pod, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{Requests: amount}}},
	}}, metav1.CreateOptions{})
	require.NoError(s, err)
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "c", Image: "i", Resources: &corev1.ResourceRequirements{Requests: amount},
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	pod, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	require.NoError(s, err)
	return pod
}

// A running pod takes other sizes and further containers for debugging through subresources, and through these nothing else.
func TestRunningPodChanges(t *testing.T) {
	s := startServer(t)
	ctx, pods := t.Context(), s.client.CoreV1().Pods("default")
	pod := s.runPod("web")

	pod.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
	_, err := pods.Update(ctx, pod, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "sizes are not changed by the way: %v", err)
	pod.Labels, pod.Spec.Containers[0].Image = map[string]string{"not": "a size"}, "other"
	pod, err = pods.UpdateResize(ctx, "web", pod, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, "2", pod.Spec.Containers[0].Resources.Requests.Cpu().String())
	require.Equal(t, "i", pod.Spec.Containers[0].Image)
	require.Empty(t, pod.Labels)
	require.EqualValues(t, 2, pod.Generation)

	resize := func(containers string) error {
		_, err := pods.Patch(ctx, "web", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[`+containers+`]}}`), metav1.PatchOptions{}, "resize")
		return err
	}
	require.NoError(t, resize(`{"name":"c","resources":{"requests":{"cpu":"500m"},"limits":{"cpu":"4"}}}`))
	require.ErrorContains(t, resize(`{"name":"c","resources":{"limits":{"cpu":null}}}`), "resource limits cannot be removed")
	require.ErrorContains(t, resize(`{"name":"c","resources":{"requests":{"cpu":"4"},"limits":{"cpu":"4","memory":"1Gi"}}},{"name":"d","image":"i"}`), "may not be added or removed on resize")

	debug := func(containers string) (*corev1.Pod, error) {
		return pods.Patch(ctx, "web", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}},"spec":{"ephemeralContainers":[`+containers+`]}}`),
			metav1.PatchOptions{}, "ephemeralcontainers")
	}
	pod, err = debug(`{"name":"debug","image":"busybox","targetContainerName":"c"}`)
	require.NoError(t, err)
	require.Len(t, pod.Spec.EphemeralContainers, 1)
	require.Equal(t, corev1.PullAlways, pod.Spec.EphemeralContainers[0].ImagePullPolicy)
	require.Empty(t, pod.Labels)
	require.EqualValues(t, 4, pod.Generation)
	_, err = debug(`{"name":"debug","image":"another"}`)
	require.True(t, apierrors.IsInvalid(err), "what was added stays as it is: %v", err)
	for _, sub := range []string{"resize", "ephemeralcontainers"} {
		a := s.send("GET /api/v1/namespaces/default/pods/web/"+sub, nil)
		require.Equal(t, 200, a.code)
		require.Contains(t, string(a.body), `"kind":"Pod"`)
	}
}
