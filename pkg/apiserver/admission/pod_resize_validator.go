package admission

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// PodResizeValidator refuses to resize a pod beyond what its node could ever have, rather than to leave it waiting for that.
type PodResizeValidator struct{ get Getter }

// Name is upstream's.
func (PodResizeValidator) Name() string { return "PodResizeValidator" }

// Admit does nothing.
func (PodResizeValidator) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses. A generation that stays means that nothing is asked for.
func (p PodResizeValidator) Validate(ctx context.Context, a *Attributes) error {
	if a.Operation != Update || !a.is("pods/resize") {
		return nil
	}
	pod, old, err := changeOf[*corev1.Pod](a, p.Name())
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" || pod.Generation == old.Generation {
		return nil
	}
	node, err := get[*corev1.Node](ctx, p.get, nodeResource, "", pod.Spec.NodeName)
	switch {
	case apierrors.IsNotFound(err):
		return a.forbidden("node %q not found", pod.Spec.NodeName)
	case err != nil || node == nil:
		return a.forbidden("failed to get node %q: %w", pod.Spec.NodeName, err)
	}
	if too := beyond(pod, node); too != "" {
		return because(a.forbidden("Node didn't have enough allocatable resources: %s", too), "NodeCapacity")
	}
	if os := node.Labels[corev1.LabelOSStable]; os != "linux" {
		return because(a.forbidden("pod resize is only supported on linux nodes, node %q is %q", node.Name, os), "UnsupportedPlatform")
	}
	return nil
}

func because(err *apierrors.StatusError, cause metav1.CauseType) error {
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: cause})
	return err
}

// beyond says what of a pod's requests its node does not have at all.
func beyond(pod *corev1.Pod, node *corev1.Node) string {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	var parts []string
	if asked, has := requests.Cpu().MilliValue(), node.Status.Allocatable.Cpu().MilliValue(); asked > has {
		parts = append(parts, fmt.Sprintf("cpu, requested: %d, allocatable: %d", asked, has))
	}
	if asked, has := requests.Memory().Value(), node.Status.Allocatable.Memory().Value(); asked > has {
		parts = append(parts, fmt.Sprintf("memory, requested: %d, allocatable: %d", asked, has))
	}
	return strings.Join(parts, "; ")
}
