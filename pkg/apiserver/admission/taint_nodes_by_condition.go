package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// TaintNodesByCondition taints a new node until it is known to be ready, so that no pod is bound to it in between.
type TaintNodesByCondition struct{}

// Name is upstream's.
func (TaintNodesByCondition) Name() string { return "TaintNodesByCondition" }

// Admit adds the taint.
func (p TaintNodesByCondition) Admit(_ context.Context, a *Attributes) error {
	if !a.is("nodes") || a.Operation != Create {
		return nil
	}
	node, ok := a.Object.(*corev1.Node)
	if !ok {
		return a.wrongType(p.Name())
	}
	taint := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	if !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
		node.Spec.Taints = append(node.Spec.Taints, taint)
	}
	return nil
}

// Validate does nothing.
func (TaintNodesByCondition) Validate(context.Context, *Attributes) error { return nil }
