package resource

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	namepath "k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// The longest times that the controller remembers, in seconds.
const (
	longestScalingPeriod = 1800
	longestStabilization = 3600
)

// A refRule says how much of a reference's apiVersion is looked at.
type refRule int

const (
	withGroup refRule = iota // of a group, as what can be scaled is but for one kind
	anyGroup
	unread // it was there before there were rules
)

func validateAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	return append(validateMeta(a, true, subdomainName), validateAutoscalerSpec(&a.Spec, nil, atSpec)...)
}

func validateAutoscalerUpdate(next, old *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	return append(validateMetaUpdate(next, old), validateAutoscalerSpec(&next.Spec, &old.Spec, atSpec)...)
}

func validateAutoscalerSpec(s, old *autoscalingv2.HorizontalPodAutoscalerSpec, path *place) field.ErrorList {
	target, described := withGroup, anyGroup
	ref := s.ScaleTargetRef
	switch {
	case old != nil && old.ScaleTargetRef.APIVersion == ref.APIVersion && old.ScaleTargetRef.Kind == ref.Kind:
		target = unread
	case ref.Kind == "ReplicationController":
		target = anyGroup
	}
	if old != nil {
		for _, m := range old.Metrics {
			if m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil && apiVersionProblem(m.Object.DescribedObject.APIVersion, anyGroup) != nil {
				described = unread
			}
		}
	}
	most := path.Child("maxReplicas")
	return join(
		when(s.MinReplicas != nil && s.MaxReplicas < *s.MinReplicas, invalidAt(most, s.MaxReplicas, "must be greater than or equal to `minReplicas`")),
		crossVersionRef(&ref, target, path.Child("scaleTargetRef")),
		validateMetrics(s, described, path.Child("metrics")),
		given(s.Behavior, path.Child("behavior"), func(b *autoscalingv2.HorizontalPodAutoscalerBehavior, path *place) field.ErrorList {
			return append(given(b.ScaleUp, path.Child("scaleUp"), validateScaling), given(b.ScaleDown, path.Child("scaleDown"), validateScaling)...)
		}),
		given(s.MinReplicas, path.Child("minReplicas"), counts[int32]),
		when(s.MaxReplicas == 0, requiredAt(most, "")),
		when(s.MaxReplicas < 0, invalidAt(most, s.MaxReplicas, "must be greater than or equal to 1")),
	)
}

func crossVersionRef(r *autoscalingv2.CrossVersionObjectReference, rule refRule, path *place) field.ErrorList {
	segment := func(s string, path *place) field.ErrorList {
		if s == "" {
			return field.ErrorList{requiredAt(path, "")}
		}
		return invalid(path, s, namepath.IsValidPathSegmentName(s))
	}
	errs := append(segment(r.Kind, path.Child("kind")), segment(r.Name, path.Child("name"))...)
	if err := apiVersionProblem(r.APIVersion, rule); err != nil {
		errs = append(errs, invalidAt(path.Child("apiVersion"), r.APIVersion, err.Error()))
	}
	return errs
}

func apiVersionProblem(version string, rule refRule) error {
	if rule == unread {
		return nil
	}
	gv, err := schema.ParseGroupVersion(version)
	if err == nil && gv.Group == "" && rule == withGroup {
		err = fmt.Errorf("apiVersion must specify API group")
	}
	return err
}

func validateMetrics(s *autoscalingv2.HorizontalPodAutoscalerSpec, described refRule, path *place) field.ErrorList {
	outside := false
	errs := each(s.Metrics, path, func(m *autoscalingv2.MetricSpec, path *place) field.ErrorList {
		outside = outside || m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
		return validateMetric(m, described, path)
	})
	// Without pods, what is measured in pods stays nothing.
	return append(errs, when(s.MinReplicas != nil && *s.MinReplicas == 0 && !outside,
		forbiddenAt(path, "must specify at least one Object or External metric to support scaling to zero replicas"))...)
}

// metricSource is one of the fields of a metric, of which its type names the one that has to be there.
type metricSource struct {
	kind     autoscalingv2.MetricSourceType
	name     string
	there    bool
	validate func(*place) field.ErrorList
}

func metricSources(m *autoscalingv2.MetricSpec, described refRule) []metricSource {
	return []metricSource{
		{autoscalingv2.ObjectMetricSourceType, "object", m.Object != nil, func(p *place) field.ErrorList { return objectMetric(m.Object, described, p) }},
		{autoscalingv2.ExternalMetricSourceType, "external", m.External != nil, func(p *place) field.ErrorList { return externalMetric(m.External, p) }},
		{autoscalingv2.PodsMetricSourceType, "pods", m.Pods != nil, func(p *place) field.ErrorList { return podsMetric(m.Pods, p) }},
		{autoscalingv2.ResourceMetricSourceType, "resource", m.Resource != nil, func(p *place) field.ErrorList { return resourceMetric(m.Resource, p) }},
		{autoscalingv2.ContainerResourceMetricSourceType, "containerResource", m.ContainerResource != nil,
			func(p *place) field.ErrorList { return containerMetric(m.ContainerResource, p) }},
	}
}

func validateMetric(m *autoscalingv2.MetricSpec, described refRule, path *place) field.ErrorList {
	known := oneOf(m.Type, path.Child("type"), autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
		autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType)
	errs := append(when(m.Type == "", requiredAt(path.Child("type"), "must specify a metric source type")), known...)
	var wanted, extra field.ErrorList
	found := 0
	for _, s := range metricSources(m, described) {
		at := path.Child(s.name)
		if s.there {
			if found++; found == 1 {
				errs = append(errs, s.validate(at)...)
			}
		}
		switch {
		case s.kind != m.Type && s.there:
			extra = append(extra, forbiddenAt(at, "must populate the given metric source only"))
		case s.kind == m.Type && !s.there:
			wanted = append(wanted, requiredAt(at, "must populate information for the given metric source"))
		}
	}
	errs = join(errs, wanted, known) // an unknown type is said twice, as ever
	if found != 1 {
		errs = append(errs, extra...)
	}
	return errs
}

func objectMetric(o *autoscalingv2.ObjectMetricSource, rule refRule, path *place) field.ErrorList {
	return join(
		crossVersionRef(&o.DescribedObject, rule, path.Child("describedObject")),
		metricName(&o.Metric, path.Child("metric")),
		metricTarget(&o.Target, path.Child("target")),
		when(o.Target.Value == nil && o.Target.AverageValue == nil,
			requiredAt(path.Child("target", "averageValue"), "must set either a target value or averageValue")),
	)
}

func externalMetric(e *autoscalingv2.ExternalMetricSource, path *place) field.ErrorList {
	target := path.Child("target")
	return join(
		metricName(&e.Metric, path.Child("metric")),
		metricTarget(&e.Target, target),
		when(e.Target.Value == nil && e.Target.AverageValue == nil,
			requiredAt(target.Child("averageValue"), "must set either a target value for metric or a per-pod target")),
		when(e.Target.Value != nil && e.Target.AverageValue != nil,
			forbiddenAt(target.Child("value"), "may not set both a target value for metric and a per-pod target")),
	)
}

func podsMetric(p *autoscalingv2.PodsMetricSource, path *place) field.ErrorList {
	return join(
		metricName(&p.Metric, path.Child("metric")),
		metricTarget(&p.Target, path.Child("target")),
		when(p.Target.AverageValue == nil, requiredAt(path.Child("target", "averageValue"), "must specify a positive target averageValue")),
	)
}

func resourceMetric(r *autoscalingv2.ResourceMetricSource, path *place) field.ErrorList {
	return append(when(r.Name == "", requiredAt(path.Child("name"), "must specify a resource name")),
		shareTarget(&r.Target, path.Child("target"))...)
}

func containerMetric(c *autoscalingv2.ContainerResourceMetricSource, path *place) field.ErrorList {
	errs := when(c.Name == "", requiredAt(path.Child("name"), "must specify a resource name"))
	if c.Name != "" {
		errs = containerResourceName(c.Name, path.Child("name"))
	}
	if c.Container == "" {
		errs = append(errs, requiredAt(path.Child("container"), "must specify a container"))
	} else {
		errs = append(errs, dnsLabel(c.Container, path.Child("container"))...)
	}
	return append(errs, shareTarget(&c.Target, path.Child("target"))...)
}

// shareTarget wants an amount, or a share of what is requested.
func shareTarget(t *autoscalingv2.MetricTarget, path *place) field.ErrorList {
	return join(
		metricTarget(t, path),
		when(t.AverageUtilization == nil && t.AverageValue == nil,
			requiredAt(path.Child("averageUtilization"), "must set either a target raw value or a target utilization")),
		when(t.AverageUtilization != nil && t.AverageValue != nil,
			forbiddenAt(path.Child("averageValue"), "may not set both a target raw value and a target utilization")),
	)
}

func metricName(m *autoscalingv2.MetricIdentifier, path *place) field.ErrorList {
	at := path.Child("name")
	if m.Name == "" {
		return field.ErrorList{requiredAt(at, "must specify a metric name")}
	}
	return invalid(at, m.Name, namepath.IsValidPathSegmentName(m.Name))
}

func metricTarget(t *autoscalingv2.MetricTarget, path *place) field.ErrorList {
	positive := func(q *resource.Quantity, path *place) field.ErrorList {
		return when(q.Sign() != 1, invalidAt(path, q, "must be positive"))
	}
	known := t.Type == autoscalingv2.UtilizationMetricType || t.Type == autoscalingv2.ValueMetricType || t.Type == autoscalingv2.AverageValueMetricType
	return join(
		when(t.Type == "", requiredAt(path.Child("type"), "must specify a metric target type")),
		when(!known, invalidAt(path.Child("type"), t.Type, "must be either Utilization, Value, or AverageValue")),
		given(t.Value, path.Child("value"), positive),
		given(t.AverageValue, path.Child("averageValue"), positive),
		when(t.AverageUtilization != nil && *t.AverageUtilization < 1,
			invalidAt(path.Child("averageUtilization"), t.AverageUtilization, "must be greater than 0")),
	)
}

func validateScaling(r *autoscalingv2.HPAScalingRules, path *place) field.ErrorList {
	window, policies := path.Child("stabilizationWindowSeconds"), path.Child("policies")
	w := r.StabilizationWindowSeconds
	errs := join(
		when(w != nil && *w < 0, invalidAt(window, w, "must be greater than or equal to zero")),
		when(w != nil && *w > longestStabilization, invalidAt(window, w, fmt.Sprintf("must be less than or equal to %v", longestStabilization))),
	)
	if p := r.SelectPolicy; p != nil {
		errs = append(errs, oneOf(*p, path.Child("selectPolicy"),
			autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)...)
	}
	errs = join(errs,
		when(len(r.Policies) == 0, requiredAt(policies, "must specify at least one Policy")),
		each(r.Policies, policies, scalingPolicy),
	)
	if t := r.Tolerance; t != nil {
		errs = append(errs, when(t.Sign() < 0, invalidAt(path.Child("tolerance"), t.String(), "must be greater than or equal to 0"))...)
	}
	return errs
}

func scalingPolicy(p *autoscalingv2.HPAScalingPolicy, path *place) field.ErrorList {
	period := path.Child("periodSeconds")
	return join(
		oneOf(p.Type, path.Child("type"), autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy),
		when(p.Value <= 0, invalidAt(path.Child("value"), p.Value, "must be greater than zero")),
		when(p.PeriodSeconds <= 0, invalidAt(period, p.PeriodSeconds, "must be greater than zero")),
		when(p.PeriodSeconds > longestScalingPeriod, invalidAt(period, p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %v", longestScalingPeriod))),
	)
}

func validateAutoscalerStatus(next, old *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		nonNegative(int64(next.Status.CurrentReplicas), atStatus.Child("currentReplicas")),
		nonNegative(int64(next.Status.DesiredReplicas), atStatus.Child("desiredReplicas")),
		each(next.Status.Conditions, atStatus.Child("conditions"), func(c *autoscalingv2.HorizontalPodAutoscalerCondition, path *place) field.ErrorList {
			return nonNegative(ptr.Deref(c.ObservedGeneration, 0), path.Child("observedGeneration"))
		}),
	)
}
