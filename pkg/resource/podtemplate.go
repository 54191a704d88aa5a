package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the kinds that make pods from a template have in common.

// count is a number of replicas that defaulting has filled in.
func count(replicas *int32) int32 {
	if replicas == nil {
		return 0
	}
	return *replicas
}

// scaleSelector is the selector in the form that autoscalers put into a list request.
func scaleSelector(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return ""
	}
	return selector.String()
}

// templateColumns end the wide table of a kind that makes pods.
func templateColumns(selectorDoc string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		wide("Containers", "Names of each container in the template."),
		wide("Images", "Images referenced by each container in the template."),
		wide("Selector", selectorDoc),
	}
}

func templateCells(t *corev1.PodTemplateSpec, s *metav1.LabelSelector) []any {
	names, images := make([]string, 0, len(t.Spec.Containers)), make([]string, 0, len(t.Spec.Containers))
	for _, c := range t.Spec.Containers {
		names, images = append(names, c.Name), append(images, c.Image)
	}
	return []any{strings.Join(names, ","), strings.Join(images, ","), metav1.FormatLabelSelector(s)}
}
