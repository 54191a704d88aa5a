package kubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// recorder writes events about pods, their containers and the node.
type recorder struct{ record.EventRecorder }

// newRecorder writes through the API until ctx ends.
func newRecorder(ctx context.Context, c Config) *recorder {
	b := record.NewBroadcaster(record.WithContext(ctx))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Client.CoreV1().Events("")})
	return &recorder{b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: c.NodeName})}
}

// pod records an event about a pod; nothing about one that the API does not know.
func (r *recorder) pod(pod *corev1.Pod, kind, reason, format string, args ...any) {
	if pod != nil {
		r.Eventf(podRef(pod), kind, reason, format, args...)
	}
}

// container records an event about one of the pod's containers.
func (r *recorder) container(pod *corev1.Pod, name, kind, reason, format string, args ...any) {
	if pod == nil {
		return
	}
	ref := podRef(pod)
	ref.FieldPath = fieldPath(pod, name)
	r.Eventf(ref, kind, reason, format, args...)
}

func podRef(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}
}

// fieldPath is where in its pod a container is: kubectl describe shows it.
func fieldPath(pod *corev1.Pod, name string) string {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == name {
			return fmt.Sprintf("spec.initContainers{%s}", name)
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if c.Name == name {
			return fmt.Sprintf("spec.ephemeralContainers{%s}", name)
		}
	}
	return fmt.Sprintf("spec.containers{%s}", name)
}

const (
	normal  = corev1.EventTypeNormal
	warning = corev1.EventTypeWarning
)
