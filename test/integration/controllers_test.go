package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/cluster/parts/apiserver"
	"bonsai/pkg/controller"
	"bonsai/pkg/pki"
	"bonsai/pkg/reconcile"
)

// controlled is a server with all controllers, who have the rights that they have in a cluster, and a node whose kubelet is a
// few lines: pods are bound to it, run and are ready at once, and end at once when they are deleted.
type controlled struct {
	*server
	history *reconcile.History
	broken  string // pods of this image never get ready
}

func startControllers(t *testing.T, change ...func(*apiserver.Options)) *controlled {
	t.Helper()
	s := startServer(t, change...)
	config := inProtobuf(s.as(s.options.PKI.Component(pki.ControllerManager)))
	meta, err := metadata.NewForConfig(config)
	require.NoError(t, err)
	c := &controlled{server: s, history: &reconcile.History{}, broken: "broken"}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		own := clientOf(t, config)
		done <- controller.Run(ctx, controller.Config{Client: own, Metadata: meta, Informers: parts.Informers(own), RootCA: []byte("CA"), History: c.history})
	}()
	t.Cleanup(func() {
		require.NotContains(t, c.story(), `User "system:kube-controller-manager" cannot`, "a controller lacks rights: name its role in policy.running")
		stop()
		require.NoError(t, <-done)
	})
	c.node(ctx)
	return c
}

// until waits for a condition; if it does not come about, the controllers' story is told.
func (c *controlled) until(what string, condition func() bool) {
	c.Helper()
	c.server.until(what, condition, c.story)
}

// story is what the controllers did.
func (c *controlled) story() string {
	var b strings.Builder
	for _, r := range c.history.Recent() {
		for _, s := range r.Steps {
			fmt.Fprintf(&b, "%s %s: %s %s: %s %v\n", r.Loop, r.Key, s.Verb, s.Target, s.Reason, s.Err)
		}
	}
	return b.String()
}

// node registers a node and is its scheduler and kubelet.
func (c *controlled) node(ctx context.Context) {
	_, err := c.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{})
	require.NoError(c, err)
	pods := informers.NewSharedInformerFactory(c.client, 0)
	address := 1
	tend := func(item any) {
		pod := item.(*corev1.Pod).DeepCopy()
		switch {
		case pod.DeletionTimestamp != nil:
			_ = c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0))
		case pod.Spec.NodeName == "":
			_ = c.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace},
				Target:     corev1.ObjectReference{Kind: "Node", Name: "n1"},
			}, metav1.CreateOptions{})
		case pod.Status.Phase == corev1.PodPending && pod.Spec.Containers[0].Image != c.broken:
			address++
			ip := fmt.Sprintf("10.244.0.%d", address)
			pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
			_, _ = c.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		}
	}
	_, err = pods.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: tend, UpdateFunc: func(_, pod any) { tend(pod) }})
	require.NoError(c, err)
	pods.Start(ctx.Done())
}

func (c *controlled) deploy(name, image string, replicas int32) *appsv1.Deployment {
	c.Helper()
	labels := map[string]string{"app": name}
	d, err := c.client.AppsV1().Deployments("default").Create(c.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(c, err)
	return d
}

// rolledOut waits until the deployment is done as `kubectl rollout status` sees it, and returns it.
func (c *controlled) rolledOut(name string) (d *appsv1.Deployment) {
	c.Helper()
	c.until("deployment "+name+" is rolled out", func() (ok bool) {
		var err error
		d, err = c.client.AppsV1().Deployments("default").Get(c.Context(), name, metav1.GetOptions{})
		require.NoError(c, err)
		s := d.Status
		return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == *d.Spec.Replicas && s.Replicas == *d.Spec.Replicas &&
			s.AvailableReplicas == *d.Spec.Replicas && slices.ContainsFunc(s.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentProgressing && c.Reason == "NewReplicaSetAvailable"
		})
	})
	return d
}

func (c *controlled) patch(name, body string) {
	c.Helper()
	_, err := c.client.AppsV1().Deployments("default").Patch(c.Context(), name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{})
	require.NoError(c, err)
}

func (c *controlled) sets() map[string]*appsv1.ReplicaSet {
	list, err := c.client.AppsV1().ReplicaSets("default").List(c.Context(), metav1.ListOptions{})
	require.NoError(c, err)
	byImage := map[string]*appsv1.ReplicaSet{}
	for i, rs := range list.Items {
		byImage[rs.Spec.Template.Spec.Containers[0].Image] = &list.Items[i]
	}
	return byImage
}

func (c *controlled) pods() int {
	list, err := c.client.CoreV1().Pods("default").List(c.Context(), metav1.ListOptions{})
	require.NoError(c, err)
	return len(list.Items)
}

func (c *controlled) eventMessages() string {
	list, err := c.client.CoreV1().Events("default").List(c.Context(), metav1.ListOptions{})
	require.NoError(c, err)
	var lines []string
	for _, e := range list.Items {
		lines = append(lines, fmt.Sprintf("%s/%s %s %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Type, e.Reason, e.Message))
	}
	return strings.Join(lines, "\n")
}

// The life of a deployment: made, given a new image, taken back, scaled, deleted.
func TestDeployment(t *testing.T) {
	c := startControllers(t)
	c.deploy("web", "v1", 3)
	require.Equal(t, "1", c.rolledOut("web").Annotations["deployment.kubernetes.io/revision"])
	first := c.sets()["v1"]
	c.until("the events tell", func() bool {
		m := c.eventMessages()
		return strings.Contains(m, "Deployment/web Normal ScalingReplicaSet: Scaled up replica set "+first.Name+" from 0 to 3") &&
			strings.Count(m, "ReplicaSet/"+first.Name+" Normal SuccessfulCreate: Created pod: "+first.Name+"-") == 3
	})

	c.patch("web", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"v2"}]}}}}`)
	require.Equal(t, "2", c.rolledOut("web").Annotations["deployment.kubernetes.io/revision"])
	require.Zero(t, *c.sets()["v1"].Spec.Replicas)

	c.patch("web", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"v1"}]}}}}`)
	require.Equal(t, "3", c.rolledOut("web").Annotations["deployment.kubernetes.io/revision"])
	back := c.sets()["v1"]
	require.Equal(t, first.UID, back.UID, "going back uses the ReplicaSet that was there")
	require.Equal(t, "1", back.Annotations["deployment.kubernetes.io/revision-history"])

	c.patch("web", `{"spec":{"replicas":5}}`)
	c.rolledOut("web")
	require.Equal(t, 5, c.pods())

	foreground := metav1.DeletePropagationForeground
	require.NoError(t, c.client.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &foreground}))
	c.until("the deployment is gone", func() bool {
		_, err := c.client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	require.Empty(t, c.sets(), "in the foreground, dependents go first")
	require.Zero(t, c.pods())
}

// A template whose pods never get ready stops where the promise of available pods would be broken.
func TestDeploymentStuck(t *testing.T) {
	c := startControllers(t)
	c.deploy("web", "v1", 4)
	c.rolledOut("web")
	c.patch("web", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"broken"}]}}}}`)
	c.until("the surge is used up and the promise is kept", func() bool {
		d, err := c.client.AppsV1().Deployments("default").Get(t.Context(), "web", metav1.GetOptions{})
		require.NoError(t, err)
		require.GreaterOrEqual(t, d.Status.AvailableReplicas, int32(3))
		sets := c.sets()
		return sets["broken"] != nil && *sets["broken"].Spec.Replicas == 2 && *sets["v1"].Spec.Replicas == 3 &&
			d.Status.AvailableReplicas == 3 && d.Status.UpdatedReplicas == 2 && d.Status.UnavailableReplicas == 2
	})
}

// A pod that is deleted is replaced, one whose label is taken away is released and replaced too, and comes back with it.
func TestReplicaSet(t *testing.T) {
	c := startControllers(t)
	c.deploy("web", "v1", 2)
	c.rolledOut("web")
	list, err := c.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	gone, freed := list.Items[0].Name, list.Items[1].Name
	require.NoError(t, c.client.CoreV1().Pods("default").Delete(t.Context(), gone, metav1.DeleteOptions{}))
	relabel := func(value string) {
		body := fmt.Sprintf(`{"metadata":{"labels":{"app":%q}}}`, value)
		_, err := c.client.CoreV1().Pods("default").Patch(t.Context(), freed, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	controlledBy := func() *metav1.OwnerReference {
		pod, err := c.client.CoreV1().Pods("default").Get(t.Context(), freed, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return &metav1.OwnerReference{Name: "gone"}
		}
		require.NoError(t, err)
		return metav1.GetControllerOf(pod)
	}
	relabel("other")
	c.until("the pod is released and both are replaced", func() bool { return controlledBy() == nil && c.pods() == 3 })
	c.rolledOut("web")
	relabel("web")
	c.until("the pod is adopted and one of the three goes", func() bool { return controlledBy() != nil && c.pods() == 2 })
}

// A service's pods are in its slices and its Endpoints; both go with it.
func TestEndpoints(t *testing.T) {
	c := startControllers(t)
	_, err := c.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"},
			ClusterIP: corev1.ClusterIPNone, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.deploy("web", "v1", 3)
	slicesOf := func() []discoveryv1.EndpointSlice {
		list, err := c.client.DiscoveryV1().EndpointSlices("default").List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		require.NoError(t, err)
		return list.Items
	}
	endpoints := func() *corev1.Endpoints {
		e, _ := c.client.CoreV1().Endpoints("default").Get(t.Context(), "web", metav1.GetOptions{})
		return e
	}
	c.until("three ready endpoints are listed", func() bool {
		s, e := slicesOf(), endpoints()
		return len(s) == 1 && len(s[0].Endpoints) == 3 && *s[0].Ports[0].Port == 8080 &&
			len(e.Subsets) == 1 && len(e.Subsets[0].Addresses) == 3
	})
	c.patch("web", `{"spec":{"replicas":0}}`)
	c.until("none is listed", func() bool {
		return len(slicesOf()) == 1 && len(slicesOf()[0].Endpoints) == 0 && len(endpoints().Subsets) == 0
	})
	require.NoError(t, c.client.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}))
	c.until("both are gone", func() bool {
		_, err := c.client.CoreV1().Endpoints("default").Get(t.Context(), "web", metav1.GetOptions{})
		return len(slicesOf()) == 0 && apierrors.IsNotFound(err)
	})
}

// A namespace gets its account and its certificate, also if someone removes them, and goes with all that is in it.
func TestNamespace(t *testing.T) {
	c := startControllers(t)
	ctx, core := t.Context(), c.client.CoreV1()
	_, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	furnished := func() bool {
		_, noAccount := core.ServiceAccounts("team").Get(ctx, "default", metav1.GetOptions{})
		ca, noCA := core.ConfigMaps("team").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return noAccount == nil && noCA == nil && ca.Data["ca.crt"] == "CA"
	}
	c.until("the namespace is furnished", furnished)
	require.NoError(t, core.ServiceAccounts("team").Delete(ctx, "default", metav1.DeleteOptions{}))
	require.NoError(t, core.ConfigMaps("team").Delete(ctx, "kube-root-ca.crt", metav1.DeleteOptions{}))
	c.until("it is furnished again", furnished)

	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}}
	_, err = core.ConfigMaps("team").Create(ctx, held, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = core.Pods("team").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "v1"}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, core.Namespaces().Delete(ctx, "team", metav1.DeleteOptions{}))
	c.until("the namespace says what holds it", func() bool {
		ns, err := core.Namespaces().Get(ctx, "team", metav1.GetOptions{})
		require.NoError(t, err)
		return slices.ContainsFunc(ns.Status.Conditions, func(c corev1.NamespaceCondition) bool {
			return c.Message == "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
		}) && slices.ContainsFunc(ns.Status.Conditions, func(c corev1.NamespaceCondition) bool {
			return c.Message == "Some resources are remaining: configmaps. has 1 resource instances"
		})
	})
	_, err = core.ConfigMaps("team").Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.until("the namespace is gone", func() bool {
		_, err := core.Namespaces().Get(ctx, "team", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

// Orphaned pods stay, without their owner.
func TestOrphaned(t *testing.T) {
	c := startControllers(t)
	c.deploy("web", "v1", 2)
	c.rolledOut("web")
	orphan := metav1.DeletePropagationOrphan
	for _, rs := range c.sets() {
		require.NoError(t, c.client.AppsV1().Deployments("default").Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &orphan}))
		c.until("the ReplicaSet is left alone", func() bool {
			now, err := c.client.AppsV1().ReplicaSets("default").Get(t.Context(), rs.Name, metav1.GetOptions{})
			require.NoError(t, err)
			return len(now.OwnerReferences) == 0
		})
	}
	require.Equal(t, 2, c.pods())
}

// A node gets its range of addresses, and its taint while it is not ready.
func TestNode(t *testing.T) {
	c := startControllers(t)
	c.until("the node has a range and a taint", func() bool {
		n, err := c.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		require.NoError(t, err)
		return n.Spec.PodCIDR == "10.244.0.0/24" && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == corev1.TaintNodeNotReady && t.Effect == corev1.TaintEffectNoSchedule
		})
	})
}

// firstRequests ends a context with the last of so many requests.
type firstRequests struct {
	http.RoundTripper
	left *atomic.Int64
	end  context.CancelFunc
}

func (f firstRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.left.Add(-1) == 0 {
		f.end()
	}
	return f.RoundTripper.RoundTrip(r)
}

// Controllers that are told to stop while they start, however far they have come, have not failed.
func TestControllersStopWhileTheyStart(t *testing.T) {
	s := startServer(t)
	for n := range 16 {
		ctx, end := context.WithCancel(t.Context())
		left := atomic.Int64{}
		left.Store(int64(1 + 3*n))
		config := inProtobuf(s.as(s.options.PKI.Component(pki.ControllerManager)))
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return firstRequests{next, &left, end} })
		own := clientOf(t, config)
		meta, err := metadata.NewForConfig(config)
		require.NoError(t, err)
		require.NoError(t, controller.Run(ctx, controller.Config{Client: own, Metadata: meta, Informers: parts.Informers(own), RootCA: []byte("CA")}), "after %d requests", 1+3*n)
		end()
	}
}

// When nothing happens nothing is written: soon after a rollout there is a whole second without an action.
func TestIdle(t *testing.T) {
	c := startControllers(t)
	c.deploy("web", "v1", 3)
	c.rolledOut("web")
	actions := func() (n uint64) {
		for _, counts := range c.history.Counts() {
			n += counts.Actions
		}
		return n
	}
	last := actions()
	c.until("a second passes without an action", func() bool {
		<-time.After(time.Second)
		was := last
		last = actions()
		return was == last
	})
}
