package spec

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/plan"
)

// Run is one run of a container, with all that was looked up for it.
type Run struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	Attempt   int32
	Image     *runtimev1.Image
	ImageRef  string
	PodIPs    []string
	Env       []corev1.EnvVar
	Mounts    []*runtimev1.Mount
	// TargetID is the container whose processes an ephemeral container sees.
	TargetID string
}

// Config returns the configuration of that run.
func (n *Node) Config(r Run) (*runtimev1.ContainerConfig, error) {
	security, err := security(r)
	if err != nil {
		return nil, err
	}
	n.localhost(security.Seccomp)
	c := r.Container
	values := map[string]string{}
	var env []*runtimev1.KeyValue
	for _, e := range r.Env {
		values[e.Name] = e.Value
		env = append(env, &runtimev1.KeyValue{Key: e.Name, Value: []byte(e.Value)})
	}
	return &runtimev1.ContainerConfig{
		Metadata:    &runtimev1.ContainerMetadata{Name: c.Name, Attempt: uint32(r.Attempt)},
		Image:       &runtimev1.ImageSpec{Image: r.ImageRef, UserSpecifiedImage: c.Image},
		Command:     expandAll(c.Command, values),
		Args:        expandAll(c.Args, values),
		WorkingDir:  c.WorkingDir,
		Envs:        env,
		Mounts:      r.Mounts,
		Labels:      labels(r.Pod, map[string]string{cri.LabelContainerName: c.Name}),
		Annotations: annotations(r),
		LogPath:     fmt.Sprintf("%s/%d.log", c.Name, r.Attempt),
		Stdin:       c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY,
		Linux:      &runtimev1.LinuxContainerConfig{Resources: n.resources(r.Pod, c), SecurityContext: security},
		StopSignal: stopSignal(c),
	}, nil
}

// annotations are what the kubelet must know of the run even when the pod's spec is gone.
func annotations(r Run) map[string]string {
	out := map[string]string{
		cri.AnnotationHash:                     plan.Hash(r.Container),
		cri.AnnotationRestartCount:             strconv.Itoa(int(r.Attempt)),
		cri.AnnotationTerminationMessagePath:   r.Container.TerminationMessagePath,
		cri.AnnotationTerminationMessagePolicy: string(r.Container.TerminationMessagePolicy),
	}
	if s := r.Pod.Spec.TerminationGracePeriodSeconds; s != nil {
		out[cri.AnnotationGracePeriod] = strconv.FormatInt(*s, 10)
	}
	return out
}

func stopSignal(c *corev1.Container) runtimev1.Signal {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return runtimev1.Signal_SIGNAL_RUNTIME_DEFAULT
	}
	return runtimev1.Signal(runtimev1.Signal_value["SIGNAL_"+string(*c.Lifecycle.StopSignal)])
}

func expandAll(in []string, values map[string]string) (out []string) {
	for _, s := range in {
		out = append(out, Expand(s, func(name string) (string, bool) { v, ok := values[name]; return v, ok }))
	}
	return out
}
