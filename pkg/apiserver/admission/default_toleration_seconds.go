package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// tolerationSeconds is for how long a pod stays on a node that is lost, unless it says otherwise.
const tolerationSeconds = 300

// DefaultTolerationSeconds gives pods five minutes on a node that is not ready or unreachable, before they are evicted.
type DefaultTolerationSeconds struct{}

// Name is upstream's.
func (DefaultTolerationSeconds) Name() string { return "DefaultTolerationSeconds" }

// Admit adds the tolerations that are missing.
func (p DefaultTolerationSeconds) Admit(_ context.Context, a *Attributes) error {
	if !a.is("pods") || (a.Operation != Create && a.Operation != Update) {
		return nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return a.wrongType(p.Name())
	}
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return speaksOf(t, key) }) {
			continue
		}
		seconds := int64(tolerationSeconds)
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		})
	}
	return nil
}

// speaksOf says whether a toleration is about eviction by the taint key; one without a key or an effect is about all
// of them.
func speaksOf(t corev1.Toleration, key string) bool {
	return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
}

// Validate does nothing.
func (DefaultTolerationSeconds) Validate(context.Context, *Attributes) error { return nil }
