package resource

import (
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Scale is nowhere stored. Its rows say what it looks like in a table, and who writes it has owners of its fields as others have.

// Scales is the row of the Scale of built-in kinds.
func Scales() *Row {
	spec, status := autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"], autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"]
	return scaleRow(column("Name", metaDoc["name"]), integer(column("Desired", spec)), integer(column("Available", status)), ageColumn)
}

// CustomScales is the row of the Scale of custom kinds.
func CustomScales() *Row {
	born := ageColumn
	born.Type = "date"
	return scaleRow(nameColumn, integer(column("Desired", "Number of desired replicas")),
		integer(column("Available", "Number of actual replicas")), born)
}

func scaleRow(columns ...metav1.TableColumnDefinition) *Row {
	return Row{
		Kind: "Scale", Namespaced: true, Columns: columns,
		Versions: []Version{{GroupVersion: autoscalingv1.SchemeGroupVersion, New: func() Object { return &autoscalingv1.Scale{} }}},
	}.with(rules(Rules[*autoscalingv1.Scale]{
		Cells: func(s *autoscalingv1.Scale, now time.Time) []any {
			return []any{s.Name, int64(s.Spec.Replicas), int64(s.Status.Replicas), age(s, now)}
		},
	}))
}
