package kubelet_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/kubelet/cri"
)

// patience is how long a case waits for something: much longer than it takes, because cases share two cores.
const patience = time.Minute

// kase is a node in the hands of one case.
type kase struct {
	*node
	t *testing.T
}

// create makes a pod from YAML and gives it to the node, as the scheduler would. A container that names no image is busybox.
func (c *kase) create(text string) *corev1.Pod {
	c.t.Helper()
	pod := &corev1.Pod{}
	require.NoError(c.t, yaml.UnmarshalStrict([]byte(text), pod))
	pod.Spec.NodeName = nodeName
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Image == "" {
				list[i].Image = busybox
			}
		}
	}
	pod, err := c.client.CoreV1().Pods("default").Create(c.t.Context(), pod, metav1.CreateOptions{})
	require.NoError(c.t, err)
	return pod
}

// delete deletes a pod with a grace period in seconds.
func (c *kase) delete(name string, grace int64) {
	c.t.Helper()
	err := c.client.CoreV1().Pods("default").Delete(c.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	require.NoError(c.t, err)
}

// get returns a pod as it was seen last, or nil if there is none.
func (c *kase) get(name string) *corev1.Pod {
	pod, err := c.pods.Pods("default").Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(c.t, err)
	return pod
}

// await returns when what is known of pods and events makes ok true.
func (c *kase) await(what string, ok func() bool) {
	c.t.Helper()
	late := time.After(patience)
	for {
		next := c.next()
		if ok() {
			return
		}
		select {
		case <-next:
		case <-late:
			c.fail(what)
		}
	}
}

// eventually asks again and again for what no watch tells.
func (c *kase) eventually(what string, ok func() bool) {
	c.t.Helper()
	late := time.After(patience)
	for tick := time.Tick(100 * time.Millisecond); !ok(); {
		select {
		case <-tick:
		case <-late:
			c.fail(what)
		}
	}
}

// fail ends the case with what is known of its pods.
func (c *kase) fail(what string) {
	c.t.Helper()
	all, _ := c.pods.List(labels.Everything())
	for _, p := range all {
		if strings.HasPrefix(p.Name, strings.SplitN(what, " ", 2)[0]) {
			text, _ := yaml.Marshal(p.Status)
			c.t.Logf("%s:\n%s%s", p.Name, text, strings.Join(c.said(p.Name), "\n"))
		}
	}
	require.FailNow(c.t, "waited in vain", "for %s", what)
}

// status waits until a pod is as asked for, and returns it.
func (c *kase) status(name, what string, ok func(*corev1.Pod) bool) (pod *corev1.Pod) {
	c.t.Helper()
	c.await(name+" "+what, func() bool { pod = c.get(name); return pod != nil && ok(pod) })
	return pod
}

func (c *kase) ready(name string) *corev1.Pod {
	c.t.Helper()
	return c.status(name, "to be ready", isReady)
}

func isReady(p *corev1.Pod) bool {
	for _, x := range p.Status.Conditions {
		if x.Type == corev1.PodReady {
			return x.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (c *kase) phase(name string, want corev1.PodPhase) *corev1.Pod {
	c.t.Helper()
	return c.status(name, "to be "+string(want), func(p *corev1.Pod) bool { return p.Status.Phase == want })
}

// container waits for the first container's state.
func (c *kase) container(name, what string, ok func(*corev1.ContainerStatus) bool) corev1.ContainerStatus {
	c.t.Helper()
	p := c.status(name, what, func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && ok(&p.Status.ContainerStatuses[0])
	})
	return p.Status.ContainerStatuses[0]
}

// waiting waits until the first container waits for a reason.
func (c *kase) waiting(name, reason string) corev1.ContainerStatus {
	c.t.Helper()
	return c.container(name, "to wait: "+reason, func(s *corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == reason
	})
}

// restarted waits until the first container runs and is ready for the nth time after the first.
func (c *kase) restarted(name string, n int32) corev1.ContainerStatus {
	c.t.Helper()
	return c.container(name, "to be restarted", func(s *corev1.ContainerStatus) bool { return s.RestartCount == n && s.Ready })
}

func (c *kase) gone(name string) {
	c.t.Helper()
	c.await(name+" to be gone", func() bool { return c.get(name) == nil })
}

// said returns "REASON MESSAGE" of a pod's events.
func (c *kase) said(pod string) (out []string) {
	all, err := c.events.Events("default").List(labels.Everything())
	require.NoError(c.t, err)
	for _, e := range all {
		if e.InvolvedObject.Name == pod {
			out = append(out, e.Reason+" "+e.Message)
		}
	}
	return out
}

// event waits for an event that begins so.
func (c *kase) event(pod, want string) {
	c.t.Helper()
	c.await(pod+" to have the event "+want, func() bool {
		for _, e := range c.said(pod) {
			if strings.HasPrefix(e, want) {
				return true
			}
		}
		return false
	})
}

// log returns a container's log.
func (c *kase) log(pod, container string, options corev1.PodLogOptions) string {
	c.t.Helper()
	options.Container = container
	text, err := c.client.CoreV1().Pods("default").GetLogs(pod, &options).DoRaw(c.t.Context())
	require.NoError(c.t, err)
	return string(text)
}

// exec runs a command in a pod's first container.
func (c *kase) exec(pod, stdin string, command ...string) (string, error) {
	c.t.Helper()
	return c.stream(pod, "exec", &corev1.PodExecOptions{Command: command, Stdin: stdin != "", Stdout: true, Stderr: true}, stdin)
}

// stream speaks with a container through the API server, as kubectl does, and returns what it said.
func (c *kase) stream(pod, verb string, options runtime.Object, stdin string) (string, error) {
	c.t.Helper()
	request := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name(pod).SubResource(verb)
	request.VersionedParams(options, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(c.config, "GET", request.URL().String())
	require.NoError(c.t, err)
	var out bytes.Buffer
	o := remotecommand.StreamOptions{Stdout: &out}
	if stdin != "" {
		o.Stdin = strings.NewReader(stdin)
	}
	if a, ok := options.(*corev1.PodAttachOptions); ok && a.TTY {
		// At a terminal the end of what is typed is not the end of the session: that ends with the container.
		typing, hand := io.Pipe()
		defer hand.Close()
		o.Tty, o.Stdin = true, io.MultiReader(o.Stdin, typing)
	} else {
		o.Stderr = io.Discard
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	err = executor.StreamWithContext(ctx, o)
	return out.String(), err
}

// runtime is the kubelet's view of containerd.
func (c *kase) runtime() *cri.Client {
	r, err := cri.Dial(c.dir.Socket())
	require.NoError(c.t, err)
	c.t.Cleanup(func() { r.Close() })
	return r
}
