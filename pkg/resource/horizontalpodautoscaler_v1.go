package resource

import (
	"encoding/json"
	"fmt"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The first version of the HorizontalPodAutoscaler aims at a share of cpu and nothing else. So that whoever reads an object in it
// and writes it back loses nothing, all that it has no fields for is in annotations, which no other version shows.
const (
	metricsAnnotation    = "autoscaling.alpha.kubernetes.io/metrics"
	statusesAnnotation   = "autoscaling.alpha.kubernetes.io/current-metrics"
	conditionsAnnotation = "autoscaling.alpha.kubernetes.io/conditions"
	behaviorAnnotation   = "autoscaling.alpha.kubernetes.io/behavior"
)

// The behavior is in its annotation with the names that it had before there was a version with it.
type (
	bareBehavior struct{ ScaleUp, ScaleDown *bareScaling }
	bareScaling  struct {
		StabilizationWindowSeconds *int32
		SelectPolicy               *autoscalingv2.ScalingPolicySelect
		Policies                   []barePolicy
		Tolerance                  *resource.Quantity
	}
	barePolicy struct {
		Type                 autoscalingv2.HPAScalingPolicyType
		Value, PeriodSeconds int32
	}
)

var carryingAnnotations = []string{metricsAnnotation, statusesAnnotation, conditionsAnnotation, behaviorAnnotation,
	"autoscaling.alpha.kubernetes.io/scale-down-tolerance", "autoscaling.alpha.kubernetes.io/scale-up-tolerance"}

func withoutCarried(annotations map[string]string) map[string]string {
	rest := maps.Clone(annotations)
	for _, a := range carryingAnnotations {
		delete(rest, a)
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

func autoscalerToV1(o Object) (Object, error) {
	in := o.(*autoscalingv2.HorizontalPodAutoscaler)
	out := &autoscalingv1.HorizontalPodAutoscaler{
		ObjectMeta: in.ObjectMeta,
		Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(in.Spec.ScaleTargetRef),
			MinReplicas:    in.Spec.MinReplicas,
			MaxReplicas:    in.Spec.MaxReplicas,
		},
		Status: autoscalingv1.HorizontalPodAutoscalerStatus{
			ObservedGeneration: in.Status.ObservedGeneration,
			LastScaleTime:      in.Status.LastScaleTime,
			CurrentReplicas:    in.Status.CurrentReplicas,
			DesiredReplicas:    in.Status.DesiredReplicas,
		},
	}
	out.Annotations = withoutCarried(in.Annotations)
	for _, m := range in.Spec.Metrics {
		if r := m.Resource; m.Type == autoscalingv2.ResourceMetricSourceType && r != nil && r.Name == corev1.ResourceCPU {
			out.Spec.TargetCPUUtilizationPercentage = r.Target.AverageUtilization
			break
		}
	}
	for _, m := range in.Status.CurrentMetrics {
		if r := m.Resource; m.Type == autoscalingv2.ResourceMetricSourceType && r != nil && r.Name == corev1.ResourceCPU && r.Current.AverageUtilization != nil {
			out.Status.CurrentCPUUtilizationPercentage = r.Current.AverageUtilization
		}
	}
	return out, carry(in, out)
}

// carry writes into out's annotations what its fields cannot say of in.
func carry(in *autoscalingv2.HorizontalPodAutoscaler, out *autoscalingv1.HorizontalPodAutoscaler) error {
	var metrics []autoscalingv1.MetricSpec
	for _, m := range in.Spec.Metrics {
		r := m.Resource
		if m.Type != autoscalingv2.ResourceMetricSourceType || r == nil || r.Name != corev1.ResourceCPU || r.Target.AverageUtilization == nil {
			metrics = append(metrics, metricToV1(&m))
		}
	}
	var statuses []autoscalingv1.MetricStatus
	for _, m := range in.Status.CurrentMetrics {
		statuses = append(statuses, metricStatusToV1(&m))
	}
	var conditions []autoscalingv1.HorizontalPodAutoscalerCondition
	for _, c := range in.Status.Conditions {
		conditions = append(conditions, autoscalingv1.HorizontalPodAutoscalerCondition{
			Type: autoscalingv1.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime,
			Reason: c.Reason, Message: c.Message, ObservedGeneration: c.ObservedGeneration})
	}
	for _, a := range []struct {
		name  string
		there bool
		value any
	}{
		{metricsAnnotation, len(metrics) > 0, metrics},
		{statusesAnnotation, len(statuses) > 0, statuses},
		{behaviorAnnotation, in.Spec.Behavior != nil, bareBehaviorOf(in.Spec.Behavior)},
		{conditionsAnnotation, len(conditions) > 0, conditions},
	} {
		if !a.there {
			continue
		}
		text, err := json.Marshal(a.value)
		if err != nil {
			return fmt.Errorf("convert to autoscaling/v1: %w", err)
		}
		if out.Annotations == nil {
			out.Annotations = map[string]string{}
		}
		out.Annotations[a.name] = string(text)
	}
	return nil
}

func bareBehaviorOf(b *autoscalingv2.HorizontalPodAutoscalerBehavior) *bareBehavior {
	if b == nil {
		return nil
	}
	scaling := func(r *autoscalingv2.HPAScalingRules) *bareScaling {
		if r == nil {
			return nil
		}
		bare := &bareScaling{StabilizationWindowSeconds: r.StabilizationWindowSeconds, SelectPolicy: r.SelectPolicy, Tolerance: r.Tolerance}
		for _, p := range r.Policies {
			bare.Policies = append(bare.Policies, barePolicy(p))
		}
		return bare
	}
	return &bareBehavior{ScaleUp: scaling(b.ScaleUp), ScaleDown: scaling(b.ScaleDown)}
}

func autoscalerToV2(o Object) (Object, error) {
	in := o.(*autoscalingv1.HorizontalPodAutoscaler)
	out := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: in.ObjectMeta,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(in.Spec.ScaleTargetRef),
			MinReplicas:    in.Spec.MinReplicas,
			MaxReplicas:    in.Spec.MaxReplicas,
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{
			ObservedGeneration: in.Status.ObservedGeneration,
			LastScaleTime:      in.Status.LastScaleTime,
			CurrentReplicas:    in.Status.CurrentReplicas,
			DesiredReplicas:    in.Status.DesiredReplicas,
		},
	}
	unpack(in.Annotations, out)
	if p := in.Spec.TargetCPUUtilizationPercentage; p != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, cpuMetric(p))
	}
	if p := in.Status.CurrentCPUUtilizationPercentage; p != nil && len(out.Status.CurrentMetrics) == 0 {
		out.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricStatus{
				Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: p}},
		}}
	}
	out.Annotations = withoutCarried(in.Annotations)
	return out, nil
}

// unpack reads what was carried. Text that cannot be read is as good as none: users may have written it.
func unpack(annotations map[string]string, out *autoscalingv2.HorizontalPodAutoscaler) {
	for _, m := range carried[[]autoscalingv1.MetricSpec](annotations, metricsAnnotation) {
		out.Spec.Metrics = append(out.Spec.Metrics, metricToV2(&m))
	}
	for _, m := range carried[[]autoscalingv1.MetricStatus](annotations, statusesAnnotation) {
		out.Status.CurrentMetrics = append(out.Status.CurrentMetrics, metricStatusToV2(&m))
	}
	for _, c := range carried[[]autoscalingv1.HorizontalPodAutoscalerCondition](annotations, conditionsAnnotation) {
		out.Status.Conditions = append(out.Status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{
			Type: autoscalingv2.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime,
			Reason: c.Reason, Message: c.Message, ObservedGeneration: c.ObservedGeneration})
	}
	// Names of fields are matched without regard to capitals, so the newer type reads the older names.
	if b := carried[*autoscalingv2.HorizontalPodAutoscalerBehavior](annotations, behaviorAnnotation); b != nil && *b != (autoscalingv2.HorizontalPodAutoscalerBehavior{}) {
		noPolicies(b.ScaleUp)
		noPolicies(b.ScaleDown)
		out.Spec.Behavior = b
	}
}

// noPolicies says of rules without policies that there are to be none: those that newer versions get by default are not for these.
func noPolicies(r *autoscalingv2.HPAScalingRules) {
	if r != nil && r.Policies == nil {
		r.Policies = []autoscalingv2.HPAScalingPolicy{}
	}
}

func carried[T any](annotations map[string]string, name string) T {
	var v, none T
	if err := json.Unmarshal([]byte(annotations[name]), &v); err != nil {
		return none
	}
	return v
}
