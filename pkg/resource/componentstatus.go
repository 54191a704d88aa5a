package resource

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ComponentStatuses are the health of the control plane as kubectl get componentstatuses shows it. They are computed when
// they are asked for and kept nowhere, so the row is not in Table: the server adds it.
func ComponentStatuses() *Row {
	return Row{
		Resource: "componentstatuses", Singular: "componentstatus", Kind: "ComponentStatus",
		ShortNames: []string{"cs"},
		Versions:   []Version{servedAs[corev1.ComponentStatus, corev1.ComponentStatusList](corev1.SchemeGroupVersion)},
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Status", "Status of the component conditions"),
			column("Message", "Message of the component conditions"), column("Error", "Error of the component conditions"),
		},
		Verbs:      []string{"get", "list"},
		Deprecated: "v1 ComponentStatus is deprecated in v1.19+",
	}.with(rules(Rules[*corev1.ComponentStatus]{
		Cells: func(s *corev1.ComponentStatus, _ time.Time) []any {
			for _, c := range s.Conditions {
				switch {
				case c.Type != corev1.ComponentHealthy:
				case c.Status == corev1.ConditionTrue:
					return []any{s.Name, "Healthy", c.Message, c.Error}
				default:
					return []any{s.Name, "Unhealthy", c.Message, c.Error}
				}
			}
			return []any{s.Name, "Unknown", "", ""}
		},
	}))
}

// Bindings are how a pod is bound to a node by a path of its own, older than that of pods/binding. A binding is done and kept
// nowhere, so this row too is added by the server.
func Bindings() *Row {
	return &Row{
		Resource: "bindings", Singular: "binding", Kind: "Binding",
		Namespaced: true,
		Versions:   []Version{{GroupVersion: corev1.SchemeGroupVersion, New: func() Object { return &corev1.Binding{} }}},
		Verbs:      []string{"create"},
	}
}
