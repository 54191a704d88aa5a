package resource

import (
	"fmt"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultUtilization is the share of the requested cpu, in percent, that is aimed at if nobody says anything.
const defaultUtilization = int32(80)

// horizontalPodAutoscalers are stored as v2. v1 knows of cpu alone, and carries all else along in annotations.
func horizontalPodAutoscalers() *Row {
	older := servedAs[autoscalingv1.HorizontalPodAutoscaler, autoscalingv1.HorizontalPodAutoscalerList](autoscalingv1.SchemeGroupVersion)
	older.ToStorage, older.FromStorage = autoscalerToV2, autoscalerToV1
	return Row{
		Resource: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler", Kind: "HorizontalPodAutoscaler",
		ShortNames: []string{"hpa"}, Categories: []string{"all"},
		Namespaced: true,
		Versions: []Version{
			servedAs[autoscalingv2.HorizontalPodAutoscaler, autoscalingv2.HorizontalPodAutoscalerList](autoscalingv2.SchemeGroupVersion),
			older,
		},
		Prefix:              "horizontalpodautoscalers",
		Columns:             autoscalerColumns(),
		UnconditionalUpdate: true,
	}.with(rules(Rules[*autoscalingv2.HorizontalPodAutoscaler]{
		Default: defaultAutoscaler,
		PrepareCreate: func(a *autoscalingv2.HorizontalPodAutoscaler) {
			a.Status = autoscalingv2.HorizontalPodAutoscalerStatus{}
			a.Generation = 1
		},
		PrepareUpdate: func(next, old *autoscalingv2.HorizontalPodAutoscaler) {
			next.Status = *old.Status.DeepCopy()
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate:       validateAutoscaler,
		ValidateUpdate: validateAutoscalerUpdate,
		Cells:          autoscalerCells,
		PrepareStatus: func(next, old *autoscalingv2.HorizontalPodAutoscaler) {
			next.Spec, next.Generation = *old.Spec.DeepCopy(), old.Generation
			noneIfEmpty(&next.Status.CurrentMetrics)
		},
		ValidateStatus: validateAutoscalerStatus,
	}))
}

func defaultAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) {
	a.Annotations = withoutCarried(a.Annotations)
	orPtr(&a.Spec.MinReplicas, 1)
	if len(a.Spec.Metrics) == 0 {
		utilization := defaultUtilization
		a.Spec.Metrics = []autoscalingv2.MetricSpec{cpuMetric(&utilization)}
	}
	b := a.Spec.Behavior
	if b == nil {
		return
	}
	all := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}
	few := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}
	// Up at once, as load does not wait; down only after what the controller takes for a while.
	defaultScaling(&b.ScaleUp, few, all)
	orPtr(&b.ScaleUp.StabilizationWindowSeconds, 0)
	defaultScaling(&b.ScaleDown, all)
}

func defaultScaling(r **autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) {
	orPtr(r, autoscalingv2.HPAScalingRules{})
	orPtr(&(*r).SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if (*r).Policies == nil {
		(*r).Policies = policies
	}
}

func cpuMetric(utilization *int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: utilization},
		},
	}
}

func autoscalerColumns() []metav1.TableColumnDefinition {
	spec, status := autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc(), autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Reference", spec["scaleTargetRef"]),
		column("Targets", spec["metrics"]),
		column("MinPods", spec["minReplicas"]),
		column("MaxPods", spec["maxReplicas"]),
		column("Replicas", status["currentReplicas"]),
		ageColumn,
	}
}

func autoscalerCells(a *autoscalingv2.HorizontalPodAutoscaler, now time.Time) []any {
	least := "<unset>"
	if a.Spec.MinReplicas != nil {
		least = fmt.Sprint(*a.Spec.MinReplicas)
	}
	ref := a.Spec.ScaleTargetRef
	return []any{a.Name, ref.Kind + "/" + ref.Name, metricsText(a), least, int64(a.Spec.MaxReplicas), int64(a.Status.CurrentReplicas), age(a, now)}
}

// metricsText is the first two metrics, each as what there is and what is aimed at, and how many more there are.
func metricsText(a *autoscalingv2.HorizontalPodAutoscaler) string {
	const most = 2
	var list []string
	for i := range a.Spec.Metrics {
		status := &autoscalingv2.MetricStatus{}
		if i < len(a.Status.CurrentMetrics) {
			status = &a.Status.CurrentMetrics[i]
		}
		list = append(list, metricText(&a.Spec.Metrics[i], status))
	}
	switch more := len(list) - most; {
	case len(list) == 0:
		return "<none>"
	case more > 0:
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:most], ", "), more)
	}
	return strings.Join(list, ", ")
}

func metricText(m *autoscalingv2.MetricSpec, s *autoscalingv2.MetricStatus) string {
	switch {
	case m.Type == autoscalingv2.ExternalMetricSourceType && m.External != nil:
		var now *autoscalingv2.MetricValueStatus
		if s.External != nil {
			now = &s.External.Current
		}
		return amountText(&m.External.Target, now)
	case m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil:
		var now *autoscalingv2.MetricValueStatus
		if s.Object != nil {
			now = &s.Object.Current
		}
		return amountText(&m.Object.Target, now)
	case m.Type == autoscalingv2.PodsMetricSourceType && m.Pods != nil:
		current := "<unknown>"
		if s.Pods != nil {
			current = s.Pods.Current.AverageValue.String()
		}
		return current + "/" + m.Pods.Target.AverageValue.String()
	case m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil:
		var now *autoscalingv2.MetricValueStatus
		if s.Resource != nil {
			now = &s.Resource.Current
		}
		return shareText(m.Resource.Name, &m.Resource.Target, now)
	case m.Type == autoscalingv2.ContainerResourceMetricSourceType && m.ContainerResource != nil:
		var now *autoscalingv2.MetricValueStatus
		if s.ContainerResource != nil {
			now = &s.ContainerResource.Current
		}
		return shareText(m.ContainerResource.Name, &m.ContainerResource.Target, now)
	}
	return "<unknown type>"
}

// amountText is for a metric of something else than pods: as a whole, or shared among them.
func amountText(target *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := "<unknown>"
	if target.AverageValue != nil {
		if now != nil && now.AverageValue != nil {
			current = now.AverageValue.String()
		}
		return fmt.Sprintf("%s/%s (avg)", current, target.AverageValue.String())
	}
	if now != nil {
		current = now.Value.String()
	}
	return current + "/" + target.Value.String()
}

// shareText is for a resource of the pods: an amount, or a share of what they request.
func shareText(name corev1.ResourceName, target *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := "<unknown>"
	if target.AverageValue != nil {
		if now != nil {
			current = now.AverageValue.String()
		}
		return fmt.Sprintf("%s: %s/%s", name, current, target.AverageValue.String())
	}
	aim := "<auto>"
	if target.AverageUtilization != nil {
		aim = fmt.Sprintf("%d%%", *target.AverageUtilization)
	}
	if now != nil && now.AverageUtilization != nil {
		current = fmt.Sprintf("%d%%", *now.AverageUtilization)
	}
	return fmt.Sprintf("%s: %s/%s", name, current, aim)
}
