package admission

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// RuntimeClass gives a pod what its runtime class needs: what the runtime itself uses beside the containers (overhead), and which nodes
// have the runtime.
type RuntimeClass struct{ get Getter }

// Name is upstream's.
func (RuntimeClass) Name() string { return "RuntimeClass" }

// Admit fills in the pod.
func (p RuntimeClass) Admit(ctx context.Context, a *Attributes) error {
	pod, class, err := p.look(ctx, a)
	if err != nil || class == nil {
		return err
	}
	if o := class.Overhead; o != nil {
		if len(pod.Spec.Overhead) > 0 && !equality.Semantic.DeepEqual(o.PodFixed, pod.Spec.Overhead) {
			return a.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
		}
		pod.Spec.Overhead = o.PodFixed.DeepCopy()
	}
	if class.Scheduling == nil {
		return nil
	}
	return setScheduling(a, pod, class.Scheduling)
}

// Validate refuses a pod that claims an overhead of its own.
func (p RuntimeClass) Validate(ctx context.Context, a *Attributes) error {
	pod, class, err := p.look(ctx, a)
	switch {
	case err != nil || pod == nil:
		return err
	case class != nil && class.Overhead != nil:
		if !equality.Semantic.DeepEqual(class.Overhead.PodFixed, pod.Spec.Overhead) {
			return a.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
		}
	case len(pod.Spec.Overhead) > 0:
		return a.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
	}
	return nil
}

// look returns the pod that is being created, nil if none is, and the class that it names, nil if it names none.
func (p RuntimeClass) look(ctx context.Context, a *Attributes) (*corev1.Pod, *nodev1.RuntimeClass, error) {
	if !a.is("pods") || a.Operation != Create {
		return nil, nil, nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return nil, nil, a.wrongType(p.Name())
	}
	if pod.Spec.RuntimeClassName == nil {
		return pod, nil, nil
	}
	class, err := get[*nodev1.RuntimeClass](ctx, p.get, schema.GroupResource{Group: nodev1.GroupName, Resource: "runtimeclasses"}, "", *pod.Spec.RuntimeClassName)
	if apierrors.IsNotFound(err) {
		err = a.forbidden("pod rejected: RuntimeClass %q not found", *pod.Spec.RuntimeClassName)
	}
	return pod, class, err
}

// setScheduling adds the nodes that the class wants to those that the pod wants.
func setScheduling(a *Attributes, pod *corev1.Pod, s *nodev1.Scheduling) error {
	for key, value := range s.NodeSelector {
		if own, ok := pod.Spec.NodeSelector[key]; ok && own != value {
			return a.forbidden("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, value, key, own)
		}
	}
	if len(s.NodeSelector) > 0 && pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	maps.Copy(pod.Spec.NodeSelector, s.NodeSelector)
	pod.Spec.Tolerations = mergeTolerations(pod.Spec.Tolerations, s.Tolerations)
	return nil
}

// mergeTolerations returns all tolerations, without those that another one covers.
func mergeTolerations(own, more []corev1.Toleration) []corev1.Toleration {
	if len(more) == 0 {
		return own
	}
	var out []corev1.Toleration
	all := append(append([]corev1.Toleration{}, own...), more...)
next:
	for i, t := range all {
		for _, kept := range out {
			if covers(kept, t) {
				continue next
			}
		}
		for _, later := range all[i+1:] {
			if covers(later, t) && !equality.Semantic.DeepEqual(later, t) {
				continue next
			}
		}
		out = append(out, t)
	}
	return out
}

// covers tells whether every taint that t tolerates is tolerated by by, at least as long.
func covers(by, t corev1.Toleration) bool {
	if equality.Semantic.DeepEqual(by, t) {
		return true
	}
	if t.Key != by.Key && (by.Key != "" || by.Operator != corev1.TolerationOpExists) {
		return false
	}
	if t.Effect != by.Effect && by.Effect != "" {
		return false
	}
	if by.Effect == corev1.TaintEffectNoExecute && by.TolerationSeconds != nil &&
		(t.TolerationSeconds == nil || *t.TolerationSeconds > *by.TolerationSeconds) {
		return false
	}
	switch by.Operator {
	case corev1.TolerationOpEqual, "":
		return t.Operator != corev1.TolerationOpExists && t.Value == by.Value
	case corev1.TolerationOpExists:
		return true
	}
	return false
}
