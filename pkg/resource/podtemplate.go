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

// What the wide tables of kinds that make pods say of them.
var (
	containersColumn = wide("Containers", "Names of each container in the template.")
	imagesColumn     = wide("Images", "Images referenced by each container in the template.")
)

// templateColumns end the wide table of a kind that makes pods.
func templateColumns(selectorDoc string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{containersColumn, imagesColumn, wide("Selector", selectorDoc)}
}

func templateCells(t *corev1.PodTemplateSpec, s *metav1.LabelSelector) []any {
	names, images := containerCells(t.Spec.Containers)
	return []any{names, images, metav1.FormatLabelSelector(s)}
}

// containerCells are the names of the containers, and their images.
func containerCells(containers []corev1.Container) (names, images string) {
	n, i := make([]string, 0, len(containers)), make([]string, 0, len(containers))
	for _, c := range containers {
		n, i = append(n, c.Name), append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}
