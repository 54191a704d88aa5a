package resource

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func replicaSets() *Row {
	row := Row{
		Resource: "replicasets", Singular: "replicaset", Kind: "ReplicaSet",
		ShortNames: []string{"rs"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[appsv1.ReplicaSet, appsv1.ReplicaSetList](appsv1.SchemeGroupVersion)},
		Prefix:              "replicasets",
		Columns:             replicaSetColumns(),
		UnconditionalUpdate: true,
	}.with(rules(Rules[*appsv1.ReplicaSet]{
		Default:        defaultReplicaSet,
		PrepareCreate:  prepareReplicaSetCreate,
		PrepareUpdate:  prepareReplicaSetUpdate,
		Validate:       validateReplicaSet,
		ValidateUpdate: validateReplicaSetUpdate,
		Warnings:       replicaSetWarnings,
		Fields: func(r *appsv1.ReplicaSet) map[string]string {
			return map[string]string{"status.replicas": strconv.Itoa(int(r.Status.Replicas))}
		},
		Cells:          replicaSetCells,
		PrepareStatus:  prepareReplicaSetStatus,
		ValidateStatus: validateReplicaSetStatusUpdate,
	}))
	row.Scale = &Scale{
		Get: func(o Object) ScaleState {
			r := o.(*appsv1.ReplicaSet)
			return ScaleState{Spec: count(r.Spec.Replicas), Status: r.Status.Replicas, Selector: scaleSelector(r.Spec.Selector)}
		},
		Set:          func(o Object, replicas int32) { o.(*appsv1.ReplicaSet).Spec.Replicas = &replicas },
		ReplicasPath: "spec.replicas",
	}
	return row
}

func defaultReplicaSet(r *appsv1.ReplicaSet) {
	orPtr(&r.Spec.Replicas, 1)
	defaultPodTemplate(&r.Spec.Template)
}

func prepareReplicaSetCreate(r *appsv1.ReplicaSet) {
	r.Status = appsv1.ReplicaSetStatus{}
	r.Generation = 1
	dropOffFields(&r.Spec.Template.Spec)
}

func prepareReplicaSetUpdate(next, old *appsv1.ReplicaSet) {
	next.Status = *old.Status.DeepCopy()
	dropOffFields(&next.Spec.Template.Spec)
	raiseGeneration(next, old, !same(next.Spec, old.Spec))
}

func prepareReplicaSetStatus(next, old *appsv1.ReplicaSet) {
	next.Spec = *old.Spec.DeepCopy()
	next.Generation = old.Generation
}

func replicaSetColumns() []metav1.TableColumnDefinition {
	spec, status := appsv1.ReplicaSetSpec{}.SwaggerDoc(), appsv1.ReplicaSetStatus{}.SwaggerDoc()
	return append([]metav1.TableColumnDefinition{
		nameColumn,
		integer(column("Desired", spec["replicas"])),
		integer(column("Current", status["replicas"])),
		integer(column("Ready", status["readyReplicas"])),
		ageColumn,
	}, templateColumns(spec["selector"])...)
}

func replicaSetCells(r *appsv1.ReplicaSet, now time.Time) []any {
	return append([]any{
		r.Name, int64(count(r.Spec.Replicas)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas), age(r, now),
	}, templateCells(&r.Spec.Template, r.Spec.Selector)...)
}
