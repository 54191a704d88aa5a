package resource

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func statefulSets() *Row {
	row := Row{
		Resource: "statefulsets", Singular: "statefulset", Kind: "StatefulSet",
		ShortNames: []string{"sts"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[appsv1.StatefulSet, appsv1.StatefulSetList](appsv1.SchemeGroupVersion)},
		Prefix:              "statefulsets",
		Restore:             one(nameClaimTemplates),
		UnconditionalUpdate: true,
		Columns: []metav1.TableColumnDefinition{
			nameColumn, column("Ready", "Number of the pod with ready state"), ageColumn, containersColumn, imagesColumn,
		},
	}.with(rules(Rules[*appsv1.StatefulSet]{
		Default:        defaultStatefulSet,
		PrepareCreate:  prepareStatefulSetCreate,
		PrepareUpdate:  prepareStatefulSetUpdate,
		Validate:       validateStatefulSet,
		ValidateUpdate: validateStatefulSetUpdate,
		Warnings:       statefulSetWarnings,
		Cells:          statefulSetCells,
		PrepareStatus:  func(next, old *appsv1.StatefulSet) { next.Spec, next.Generation = *old.Spec.DeepCopy(), old.Generation },
		ValidateStatus: validateStatefulSetStatusUpdate,
	}))
	row.Scale = &Scale{
		Get: func(o Object) ScaleState {
			s := o.(*appsv1.StatefulSet)
			return ScaleState{Spec: count(s.Spec.Replicas), Status: s.Status.Replicas, Selector: scaleSelector(s.Spec.Selector)}
		},
		Set:          func(o Object, replicas int32) { o.(*appsv1.StatefulSet).Spec.Replicas = &replicas },
		ReplicasPath: "spec.replicas",
	}
	return row
}

func defaultStatefulSet(s *appsv1.StatefulSet) {
	spec := &s.Spec
	or(&spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	strategy := &spec.UpdateStrategy
	if strategy.Type == "" {
		strategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		orPtr(&strategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if strategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && strategy.RollingUpdate != nil {
		orPtr(&strategy.RollingUpdate.Partition, 0)
		orPtr(&strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
	}
	orPtr(&spec.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	or(&spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	or(&spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	orPtr(&spec.Replicas, 1)
	orPtr(&spec.RevisionHistoryLimit, 10)
	defaultPodTemplate(&spec.Template)
	for i := range spec.VolumeClaimTemplates {
		claim := &spec.VolumeClaimTemplates[i]
		or(&claim.Status.Phase, corev1.ClaimPending)
		orPtr(&claim.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
		roundUp(claim.Spec.Resources.Limits)
		roundUp(claim.Spec.Resources.Requests)
	}
	nameClaimTemplates(s)
}

// nameClaimTemplates says what the claim templates are. A client may leave it out and protobuf does, but the API shows it.
func nameClaimTemplates(s *appsv1.StatefulSet) {
	for i := range s.Spec.VolumeClaimTemplates {
		s.Spec.VolumeClaimTemplates[i].SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
	}
}

func prepareStatefulSetCreate(s *appsv1.StatefulSet) {
	s.Status = appsv1.StatefulSetStatus{}
	s.Generation = 1
	dropOffFields(&s.Spec.Template.Spec)
}

func prepareStatefulSetUpdate(next, old *appsv1.StatefulSet) {
	next.Status = *old.Status.DeepCopy()
	dropOffFields(&next.Spec.Template.Spec)
	raiseGeneration(next, old, !same(next.Spec, old.Spec))
}

func statefulSetCells(s *appsv1.StatefulSet, now time.Time) []any {
	names, images := containerCells(s.Spec.Template.Spec.Containers)
	return []any{s.Name, fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, count(s.Spec.Replicas)), age(s, now), names, images}
}
