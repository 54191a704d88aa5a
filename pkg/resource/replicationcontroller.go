package resource

import (
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func replicationControllers() *Row {
	row := Row{
		Resource: "replicationcontrollers", Singular: "replicationcontroller", Kind: "ReplicationController",
		ShortNames: []string{"rc"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[corev1.ReplicationController, corev1.ReplicationControllerList](corev1.SchemeGroupVersion)},
		Prefix:              "controllers",
		Columns:             replicationControllerColumns(),
		DefaultsToOrphan:    true,
		UnconditionalUpdate: true,
	}.with(rules(Rules[*corev1.ReplicationController]{
		Default: defaultReplicationController,
		PrepareCreate: func(r *corev1.ReplicationController) {
			r.Status = corev1.ReplicationControllerStatus{}
			r.Generation = 1
			dropOffTemplate(r.Spec.Template)
		},
		PrepareUpdate: func(next, old *corev1.ReplicationController) {
			next.Status = *old.Status.DeepCopy()
			dropOffTemplate(next.Spec.Template)
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(r *corev1.ReplicationController) field.ErrorList {
			return join(validateMeta(r, true, anyName), declaredLongName(r), validateReplicationControllerSpec(&r.Spec, atSpec))
		},
		ValidateUpdate: func(next, old *corev1.ReplicationController) field.ErrorList {
			return append(validateMetaUpdate(next, old), validateReplicationControllerSpec(&next.Spec, atSpec)...)
		},
		Warnings: replicationControllerWarnings,
		Fields: func(r *corev1.ReplicationController) map[string]string {
			return map[string]string{"status.replicas": strconv.Itoa(int(r.Status.Replicas))}
		},
		Cells: replicationControllerCells,
		PrepareStatus: func(next, old *corev1.ReplicationController) {
			next.Spec, next.Generation = *old.Spec.DeepCopy(), old.Generation
			labelAsTemplate(next)
		},
		ValidateStatus: validateReplicationControllerStatus,
	}))
	row.Scale = &Scale{
		Get: func(o Object) ScaleState {
			r := o.(*corev1.ReplicationController)
			return ScaleState{Spec: count(r.Spec.Replicas), Status: r.Status.Replicas, Selector: labels.Set(r.Spec.Selector).AsSelector().String()}
		},
		Set:          func(o Object, replicas int32) { o.(*corev1.ReplicationController).Spec.Replicas = &replicas },
		ReplicasPath: "spec.replicas",
	}
	return row
}

// defaultReplicationController takes the template's labels for what is selected, and for the controller's own.
func defaultReplicationController(r *corev1.ReplicationController) {
	if t := r.Spec.Template; t != nil {
		if len(r.Spec.Selector) == 0 {
			r.Spec.Selector = maps.Clone(t.Labels)
		}
		labelAsTemplate(r)
		defaultPodTemplate(t)
	}
	orPtr(&r.Spec.Replicas, 1)
}

// labelAsTemplate gives a controller without labels those of its template.
func labelAsTemplate(r *corev1.ReplicationController) {
	if len(r.Labels) == 0 && r.Spec.Template != nil {
		r.Labels = maps.Clone(r.Spec.Template.Labels)
	}
}

func dropOffTemplate(t *corev1.PodTemplateSpec) {
	if t != nil {
		dropOffFields(&t.Spec)
	}
}

func replicationControllerColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.ReplicationControllerSpec{}.SwaggerDoc(), corev1.ReplicationControllerStatus{}.SwaggerDoc()
	return append([]metav1.TableColumnDefinition{
		nameColumn,
		integer(column("Desired", spec["replicas"])),
		integer(column("Current", status["replicas"])),
		integer(column("Ready", status["readyReplicas"])),
		ageColumn,
	}, templateColumns(spec["selector"])...)
}

func replicationControllerCells(r *corev1.ReplicationController, now time.Time) []any {
	var names, images string
	if r.Spec.Template != nil {
		names, images = containerCells(r.Spec.Template.Spec.Containers)
	}
	return []any{
		r.Name, int64(count(r.Spec.Replicas)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas), age(r, now),
		names, images, selectorText(r.Spec.Selector),
	}
}

func validateReplicationControllerSpec(s *corev1.ReplicationControllerSpec, path *place) field.ErrorList {
	template := path.Child("template")
	errs := join(
		when(len(s.Selector) == 0, requiredAt(path.Child("selector"), "")),
		when(s.Template == nil, requiredAt(template, "")),
	)
	if t := s.Template; t != nil {
		selector := labels.Set(s.Selector).AsSelectorPreValidated()
		if !selector.Empty() {
			errs = append(errs, templateMatches(t, selector, template)...)
		}
		errs = join(errs, validatePodTemplate(t, template), runsForever(t, "ReplicationController", template))
	}
	return join(errs,
		given(s.Replicas, path.Child("replicas"), counts[int32]),
		nonNegative(int64(s.MinReadySeconds), path.Child("minReadySeconds")),
	)
}

func validateReplicationControllerStatus(next, old *corev1.ReplicationController) field.ErrorList {
	s, path := &next.Status, atStatus
	return join(
		validateMetaUpdate(next, old),
		nonNegative(int64(s.Replicas), path.Child("replicas")),
		nonNegative(int64(s.FullyLabeledReplicas), path.Child("fullyLabeledReplicas")),
		nonNegative(int64(s.ReadyReplicas), path.Child("readyReplicas")),
		nonNegative(int64(s.AvailableReplicas), path.Child("availableReplicas")),
		nonNegative(s.ObservedGeneration, path.Child("observedGeneration")),
		atMost(s.FullyLabeledReplicas, s.Replicas, path.Child("fullyLabeledReplicas"), "status.replicas"),
		atMost(s.ReadyReplicas, s.Replicas, path.Child("readyReplicas"), "status.replicas"),
		atMost(s.AvailableReplicas, s.Replicas, path.Child("availableReplicas"), "status.replicas"),
		atMost(s.AvailableReplicas, s.ReadyReplicas, path.Child("availableReplicas"), "readyReplicas"),
	)
}

func replicationControllerWarnings(next, old *corev1.ReplicationController) []string {
	if next.Spec.Template == nil {
		return nil
	}
	return workloadWarnings(next, old == nil, old != nil && next.Generation == old.Generation, next.Spec.Template)
}
