package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"
)

// image is one that the binary carries, so that nothing is pulled.
const image = "bonsai.local/web:1"

// podPatience bounds the wait for a pod.
const podPatience = time.Minute

// pods measures how long a pod takes from its create to Ready, against a sandbox and a container started by the runtime's own API.
func (n *node) pods(ctx context.Context, _ *server) ([]Result, error) {
	if _, err := n.podReady(ctx, "warm"); err != nil {
		return nil, err
	}
	times := n.scaled(5, 3)
	i := 0
	got, err := compare(ctx, times, func(ctx context.Context) (float64, error) {
		i++
		n.progress("node: pod %d of %d", i, times)
		return n.podReady(ctx, fmt.Sprintf("pod-%d", i))
	}, func(ctx context.Context) (float64, error) { return n.containerRuns(ctx, i) })
	if err != nil {
		return nil, err
	}
	return []Result{
		Result{Row: "pod create to Ready", Figure: Quantity{got.figure, "s"}}.against(Quantity{got.limit, "s"}, "runtime alone", got.ratio).
			aiming(Aim{OfFigure: true, AtMost: 1}).detailed("median of %d, image present", times),
	}, nil
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr.To[int64](0),
		Containers:                    []corev1.Container{{Name: "web", Image: image, ImagePullPolicy: corev1.PullIfNotPresent}},
	}
}

// podReady makes a pod, returns how many seconds it took to become Ready, and removes it.
func (n *node) podReady(ctx context.Context, name string) (seconds float64, err error) {
	pods := n.client.CoreV1().Pods(metav1.NamespaceDefault)
	w, err := pods.Watch(ctx, byName(name))
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	start := time.Now()
	if _, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: podSpec()}, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	if err := await(ctx, w, "pod "+name+" to be Ready", func(e watch.Event) bool { return podIsReady(e.Object) }); err != nil {
		return 0, err
	}
	took := time.Since(start).Seconds()
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, err
	}
	return took, await(ctx, w, "pod "+name+" to go", func(e watch.Event) bool { return e.Type == watch.Deleted })
}

func byName(name string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()}
}

// await reads events until done says that what is awaited has come.
func await(ctx context.Context, w watch.Interface, what string, done func(watch.Event) bool) error {
	ctx, cancel := context.WithTimeout(ctx, podPatience)
	defer cancel()
	for {
		select {
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == watch.Error {
				return fmt.Errorf("wait for %s: the watch ended", what)
			}
			if done(e) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

func podIsReady(o runtime.Object) bool {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// deployment measures how long three replicas of a Deployment take to be available.
func (n *node) deployment(ctx context.Context, _ *server) ([]Result, error) {
	n.progress("node: a Deployment of 3")
	const name = "bench"
	deployments := n.client.AppsV1().Deployments(metav1.NamespaceDefault)
	w, err := deployments.Watch(ctx, byName(name))
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	labels := map[string]string{"app": name}
	start := time.Now()
	_, err = deployments.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	err = await(ctx, w, "the Deployment to be available", func(e watch.Event) bool {
		d, ok := e.Object.(*appsv1.Deployment)
		return ok && d.Status.AvailableReplicas == 3
	})
	took := time.Since(start).Seconds()
	if err != nil {
		return nil, err
	}
	limit, err := n.containersRun(ctx, 3)
	if err != nil {
		return nil, err
	}
	return []Result{
		Result{Row: "Deployment of 3 available", Figure: Quantity{took, "s"}}.against(Quantity{limit, "s"}, "runtime alone", 0),
	}, n.removeDeployment(ctx, name)
}

// removeDeployment removes it and its pods, and returns when they are gone, so that the next start finds none.
func (n *node) removeDeployment(ctx context.Context, name string) error {
	pods := n.client.CoreV1().Pods(metav1.NamespaceDefault)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	left := len(list.Items)
	w, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer w.Stop()
	if err := n.client.AppsV1().Deployments(metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return await(ctx, w, "the Deployment's pods to go", func(e watch.Event) bool {
		if e.Type == watch.Deleted {
			left--
		}
		return left == 0
	})
}

// containersRun starts several containers at once and returns the seconds until all run; that they are removed again is not counted.
func (n *node) containersRun(ctx context.Context, count int) (float64, error) {
	took := make([]float64, count)
	_, err := drive(ctx, count, pieces(count), func(ctx context.Context, i int) (err error) {
		took[i], err = n.containerRuns(ctx, 100+i)
		return err
	})
	return slices.Max(took), err
}

// containerRuns starts a sandbox and a container in it by the runtime's own API, returns how many seconds that took, and removes
// both. The kubelet knows nothing of them, and is not asked.
func (n *node) containerRuns(ctx context.Context, i int) (seconds float64, err error) {
	conn, err := grpc.NewClient("unix://"+n.dir.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	runtime := cri.NewRuntimeServiceClient(conn)
	sandbox := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: fmt.Sprintf("alone-%d", i), Namespace: "bench", Uid: fmt.Sprintf("alone-%d", i)},
		LogDirectory: n.dir.Join("logs", "alone"),
		Linux:        &cri.LinuxPodSandboxConfig{CgroupParent: n.dir.CgroupRoot(), SecurityContext: &cri.LinuxSandboxSecurityContext{}},
	}
	start := time.Now()
	made, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: sandbox})
	if err != nil {
		return 0, fmt.Errorf("run a sandbox: %w", err)
	}
	defer func() {
		_, removeErr := runtime.RemovePodSandbox(context.WithoutCancel(ctx), &cri.RemovePodSandboxRequest{PodSandboxId: made.PodSandboxId})
		err = errors.Join(err, removeErr)
	}()
	container, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: made.PodSandboxId, SandboxConfig: sandbox,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "web"}, Image: &cri.ImageSpec{Image: image}, LogPath: "web.log",
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{}},
		},
	})
	if err != nil {
		return 0, fmt.Errorf("create a container: %w", err)
	}
	if _, err := runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: container.ContainerId}); err != nil {
		return 0, fmt.Errorf("start a container: %w", err)
	}
	return time.Since(start).Seconds(), nil
}
