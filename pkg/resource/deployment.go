package resource

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func deployments() *Row {
	row := Row{
		Resource: "deployments", Singular: "deployment", Kind: "Deployment",
		ShortNames: []string{"deploy"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[appsv1.Deployment, appsv1.DeploymentList](appsv1.SchemeGroupVersion)},
		Prefix:              "deployments",
		Columns:             deploymentColumns(),
		UnconditionalUpdate: true,
	}.with(rules(Rules[*appsv1.Deployment]{
		Default:        defaultDeployment,
		PrepareCreate:  prepareDeploymentCreate,
		PrepareUpdate:  prepareDeploymentUpdate,
		Validate:       validateDeployment,
		ValidateUpdate: validateDeploymentUpdate,
		Warnings:       deploymentWarnings,
		Cells:          deploymentCells,
		PrepareStatus:  prepareDeploymentStatus,
		ValidateStatus: validateDeploymentStatusUpdate,
	}))
	row.Scale = &Scale{
		Get: func(o Object) ScaleState {
			d := o.(*appsv1.Deployment)
			return ScaleState{Spec: count(d.Spec.Replicas), Status: d.Status.Replicas, Selector: scaleSelector(d.Spec.Selector)}
		},
		Set:          func(o Object, replicas int32) { o.(*appsv1.Deployment).Spec.Replicas = &replicas },
		ReplicasPath: "spec.replicas",
	}
	return row
}

func defaultDeployment(d *appsv1.Deployment) {
	s := &d.Spec
	orPtr(&s.Replicas, 1)
	orPtr(&s.RevisionHistoryLimit, 10)
	orPtr(&s.ProgressDeadlineSeconds, 600)
	or(&s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		if s.Strategy.RollingUpdate == nil {
			s.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		orPtr(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		orPtr(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	defaultPodTemplate(&s.Template)
}

func prepareDeploymentCreate(d *appsv1.Deployment) {
	d.Status = appsv1.DeploymentStatus{}
	d.Generation = 1
	dropOffFields(&d.Spec.Template.Spec)
}

// prepareDeploymentUpdate counts changes of annotations too: kubectl's older rollback worked through them, and
// controllers answer to observedGeneration since.
func prepareDeploymentUpdate(next, old *appsv1.Deployment) {
	next.Status = *old.Status.DeepCopy()
	dropOffFields(&next.Spec.Template.Spec)
	raiseGeneration(next, old, !same(next.Spec, old.Spec) || !same(next.Annotations, old.Annotations))
}

func prepareDeploymentStatus(next, old *appsv1.Deployment) {
	next.Spec = *old.Spec.DeepCopy()
	next.Labels = old.Labels
	next.Generation = old.Generation
}

func deploymentColumns() []metav1.TableColumnDefinition {
	spec, status := appsv1.DeploymentSpec{}.SwaggerDoc(), appsv1.DeploymentStatus{}.SwaggerDoc()
	return append([]metav1.TableColumnDefinition{
		nameColumn,
		column("Ready", "Number of the pod with ready state"),
		column("Up-to-date", status["updatedReplicas"]),
		column("Available", status["availableReplicas"]),
		ageColumn,
	}, templateColumns(spec["selector"])...)
}

func deploymentCells(d *appsv1.Deployment, now time.Time) []any {
	return append([]any{
		d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, count(d.Spec.Replicas)),
		int64(d.Status.UpdatedReplicas), int64(d.Status.AvailableReplicas), age(d, now),
	}, templateCells(&d.Spec.Template, d.Spec.Selector)...)
}
