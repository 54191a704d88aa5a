package resource

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The name of a StatefulSet becomes part of its pods' host names.
func validateStatefulSet(s *appsv1.StatefulSet) field.ErrorList {
	return append(validateMeta(s, true, labelName), validateStatefulSetSpec(&s.Spec, allStatefulSetRules, atSpec)...)
}

func validateStatefulSetUpdate(next, old *appsv1.StatefulSet) field.ErrorList {
	return join(
		validateMetaUpdate(next, old),
		validateStatefulSetSpec(&next.Spec, rulesForStatefulSet(old), atSpec),
		immutable(next.Spec.Selector, old.Spec.Selector, atSpec.Child("selector")),
		bareImmutable(next.Spec.VolumeClaimTemplates, old.Spec.VolumeClaimTemplates, atSpec.Child("volumeClaimTemplates")),
		immutable(next.Spec.ServiceName, old.Spec.ServiceName, atSpec.Child("serviceName")),
		immutable(next.Spec.PodManagementPolicy, old.Spec.PodManagementPolicy, atSpec.Child("podManagementPolicy")),
	)
}

// statefulSetRules are those that came after StatefulSets did. What was stored before them must still be writable, so that
// its finalizers can go.
type statefulSetRules struct {
	serviceName, template, claims bool
}

var allStatefulSetRules = statefulSetRules{serviceName: true, template: true, claims: true}

// rulesForStatefulSet are the rules for what replaces old. The service's name and the claims cannot change anyhow.
func rulesForStatefulSet(old *appsv1.StatefulSet) statefulSetRules {
	return statefulSetRules{template: len(statefulSetTemplate(&old.Spec, nil)) == 0}
}

func validateStatefulSetSpec(s *appsv1.StatefulSetSpec, r statefulSetRules, path *place) field.ErrorList {
	errs := join(
		podManagementPolicy(s.PodManagementPolicy, path.Child("podManagementPolicy")),
		validateStatefulSetStrategy(&s.UpdateStrategy, path.Child("updateStrategy")),
		given(s.PersistentVolumeClaimRetentionPolicy, path.Child("persistentVolumeClaimRetentionPolicy"), claimRetention),
	)
	if r.claims {
		errs = append(errs, each(s.VolumeClaimTemplates, path.Child("volumeClaimTemplates"), func(c *corev1.PersistentVolumeClaim, path *place) field.ErrorList {
			return validateClaimSpec(&c.Spec, path.Child("spec"))
		})...)
	}
	errs = join(errs,
		nonNegative(int64(count(s.Replicas)), path.Child("replicas")),
		nonNegative(int64(s.MinReadySeconds), path.Child("minReadySeconds")),
	)
	if s.Ordinals != nil {
		errs = append(errs, nonNegative(int64(s.Ordinals.Start), path.Child("ordinals.start"))...)
	}
	if r.serviceName && s.ServiceName != "" {
		errs = append(errs, dnsLabel(s.ServiceName, path.Child("serviceName"))...)
	}
	return join(errs, validateStatefulSetPods(s, r.template, path), runsForever(&s.Template, "StatefulSet", path.Child("template")))
}

// validateStatefulSetPods validates the selector, and the template by it.
func validateStatefulSetPods(s *appsv1.StatefulSetSpec, whole bool, path *place) field.ErrorList {
	at, template := path.Child("selector"), path.Child("template")
	errs := when(s.Selector == nil, requiredAt(at, ""))
	if s.Selector != nil {
		errs = join(
			metavalidation.ValidateLabelSelector(s.Selector, metavalidation.LabelSelectorValidationOptions{}, at.path()),
			when(len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0, invalidAt(at, s.Selector, "empty selector is invalid for statefulset")),
		)
	}
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err != nil {
		return append(errs, invalidAt(at, s.Selector, ""))
	}
	if !selector.Empty() {
		errs = append(errs, templateMatches(&s.Template, selector, template)...)
	}
	if whole {
		return append(errs, statefulSetTemplate(s, template)...)
	}
	return append(errs, labelMap(s.Template.Labels, template.Child("labels"))...)
}

// statefulSetTemplate validates the template with the volumes that the claims will be, which come before and hide its own of the
// same name. Its hostname and subdomain are not looked at: pods get others.
func statefulSetTemplate(s *appsv1.StatefulSetSpec, path *place) field.ErrorList {
	if len(s.VolumeClaimTemplates) == 0 && s.Template.Spec.Subdomain == "" && s.Template.Spec.Hostname == "" {
		return validatePodTemplate(&s.Template, path)
	}
	have, t := taken{}, s.Template.DeepCopy()
	var volumes []corev1.Volume
	for _, c := range s.VolumeClaimTemplates {
		if have.claim(c.Name) {
			volumes = append(volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name}}})
		}
	}
	for _, v := range t.Spec.Volumes {
		if !have[v.Name] {
			volumes = append(volumes, v)
		}
	}
	t.Spec.Volumes, t.Spec.Subdomain, t.Spec.Hostname = volumes, "", ""
	return validatePodTemplate(t, path)
}

func podManagementPolicy(p appsv1.PodManagementPolicyType, path *place) field.ErrorList {
	switch p {
	case "":
		return field.ErrorList{requiredAt(path, "")}
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
		return nil
	}
	return field.ErrorList{invalidAt(path, p, fmt.Sprintf("must be '%s' or '%s'", appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement))}
}

func validateStatefulSetStrategy(s *appsv1.StatefulSetUpdateStrategy, path *place) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch s.Type {
	case "":
		return field.ErrorList{requiredAt(path, "")}
	case appsv1.OnDeleteStatefulSetStrategyType:
		return when(s.RollingUpdate != nil, invalidAt(rolling, bare(s.RollingUpdate),
			fmt.Sprintf("only allowed for updateStrategy '%s'", appsv1.RollingUpdateStatefulSetStrategyType)))
	case appsv1.RollingUpdateStatefulSetStrategyType:
		return given(s.RollingUpdate, rolling, validateRollingStatefulSet)
	}
	return field.ErrorList{invalidAt(path, bareStrategy(string(s.Type), s.RollingUpdate), fmt.Sprintf("must be '%s' or '%s'",
		appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType))}
}

func validateRollingStatefulSet(r *appsv1.RollingUpdateStatefulSetStrategy, path *place) field.ErrorList {
	errs := nonNegative(int64(count(r.Partition)), path.Child("partition"))
	if r.MaxUnavailable == nil {
		return errs
	}
	most, at := *r.MaxUnavailable, path.Child("maxUnavailable")
	return join(errs,
		validateIntOrPercent(most, at),
		when(amount(most) == 0, invalidAt(at, most, "cannot be 0")),
		atMostAll(most, at),
	)
}

func claimRetention(p *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy, path *place) field.ErrorList {
	known := []appsv1.PersistentVolumeClaimRetentionPolicyType{
		appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
	return join(
		oneOf(p.WhenDeleted, path.Child("whenDeleted"), known...),
		oneOf(p.WhenScaled, path.Child("whenScaled"), known...),
	)
}

func validateStatefulSetStatusUpdate(next, old *appsv1.StatefulSet) field.ErrorList {
	path := atStatus
	s := &next.Status
	errs := join(
		nonNegative(int64(s.Replicas), path.Child("replicas")),
		nonNegative(int64(s.ReadyReplicas), path.Child("readyReplicas")),
		nonNegative(int64(s.CurrentReplicas), path.Child("currentReplicas")),
		nonNegative(int64(s.UpdatedReplicas), path.Child("updatedReplicas")),
		nonNegative(int64(s.AvailableReplicas), path.Child("availableReplicas")),
		nonNegative(s.ObservedGeneration, path.Child("observedGeneration")),
		nonNegative(int64(count(s.CollisionCount)), path.Child("collisionCount")),
	)
	return join(errs,
		atMost(s.ReadyReplicas, s.Replicas, path.Child("readyReplicas"), "status.replicas"),
		atMost(s.CurrentReplicas, s.Replicas, path.Child("currentReplicas"), "status.replicas"),
		atMost(s.UpdatedReplicas, s.Replicas, path.Child("updatedReplicas"), "status.replicas"),
		atMost(s.AvailableReplicas, s.Replicas, path.Child("availableReplicas"), "status.replicas"),
		atMost(s.AvailableReplicas, s.ReadyReplicas, path.Child("availableReplicas"), "status.readyReplicas"),
		validateMetaUpdate(next, old),
		validateCollisionCount(s.CollisionCount, old.Status.CollisionCount, path.Child("collisionCount")),
	)
}

func statefulSetWarnings(next, old *appsv1.StatefulSet) []string {
	if old != nil && next.Generation == old.Generation {
		return nil
	}
	all := podTemplateWarnings(&next.Spec.Template, newPlace("spec", "template"))
	var w warnings
	for i, c := range next.Spec.VolumeClaimTemplates {
		if q := c.Spec.Resources.Requests[corev1.ResourceStorage]; q.MilliValue()%1000 != 0 {
			w.add(newPlace("spec", "volumeClaimTemplates").Index(i).Child("resources", "requests").Key(string(corev1.ResourceStorage)),
				"fractional byte value %q is invalid, must be an integer", q.String())
		}
	}
	if limit := next.Spec.RevisionHistoryLimit; limit != nil && *limit < 0 {
		w.add(newPlace("spec", "revisionHistoryLimit"), "a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return append(all, w.all...)
}
