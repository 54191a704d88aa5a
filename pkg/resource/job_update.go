package resource

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateJobUpdate(next, old *batchv1.Job) field.ErrorList {
	path, now, was := atSpec, &next.Spec, &old.Spec
	return join(
		validateMetaUpdate(next, old),
		validateJobSpec(now, path),
		validateJobSelector(now, path),
		changedCompletions(now, was, path.Child("completions")),
		immutable(now.Selector, was.Selector, path.Child("selector")),
		changedJobTemplate(now, old, path.Child("template")),
		immutable(now.CompletionMode, was.CompletionMode, path.Child("completionMode")),
		bareImmutable(now.PodFailurePolicy, was.PodFailurePolicy, path.Child("podFailurePolicy")),
		immutable(now.BackoffLimitPerIndex, was.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex")),
		immutable(now.ManagedBy, was.ManagedBy, path.Child("managedBy")),
		bareImmutable(now.SuccessPolicy, was.SuccessPolicy, path.Child("successPolicy")),
		hostsOfIndexes(next),
	)
}

// changedCompletions lets an indexed Job that runs all its pods at once grow and shrink.
func changedCompletions(now, was *batchv1.JobSpec, path *place) field.ErrorList {
	switch {
	case !isIndexed(now):
		return immutable(now.Completions, was.Completions, path)
	case now.Completions == nil, same(now.Completions, was.Completions):
		return nil
	}
	return when(*now.Completions != count(now.Parallelism), invalidAt(path, now.Completions, "can only be modified in tandem with spec.parallelism"))
}

// changedJobTemplate lets nothing of the template change but, while the Job is suspended and has no pods, what says where
// pods are to go and how much they need.
func changedJobTemplate(now *batchv1.JobSpec, old *batchv1.Job, path *place) field.ErrorList {
	was := &old.Spec.Template
	if awaitsQueue(old) {
		was = was.DeepCopy()
		takeDirectives(was, &now.Template)
		takeJobResources(was.Spec.Containers, now.Template.Spec.Containers)
		takeJobResources(was.Spec.InitContainers, now.Template.Spec.InitContainers)
		return bareImmutable(&now.Template.Spec, &was.Spec, path.Child("spec"))
	}
	return bareImmutable(&now.Template, was, path)
}

// awaitsQueue is whether none of a Job's pods are there: it was suspended from the start, or has come to rest since.
func awaitsQueue(j *batchv1.Job) bool {
	return isTrue(j.Spec.Suspend) && j.Status.Active == 0 && (j.Status.StartTime == nil || jobIs(j, batchv1.JobSuspended))
}

// takeDirectives takes over what says where pods are to go.
func takeDirectives(into, from *corev1.PodTemplateSpec) {
	switch a := from.Spec.Affinity; {
	case a == nil && into.Spec.Affinity != nil:
		into.Spec.Affinity.NodeAffinity = nil
		if *into.Spec.Affinity == (corev1.Affinity{}) {
			into.Spec.Affinity = nil
		}
	case a != nil && into.Spec.Affinity == nil:
		into.Spec.Affinity = &corev1.Affinity{NodeAffinity: a.NodeAffinity}
	case a != nil:
		into.Spec.Affinity.NodeAffinity = a.NodeAffinity
	}
	into.Spec.NodeSelector = from.Spec.NodeSelector
	into.Spec.Tolerations = from.Spec.Tolerations
	into.Annotations = from.Annotations
	into.Labels = from.Labels
	into.Spec.SchedulingGates = from.Spec.SchedulingGates
}

func takeJobResources(into, from []corev1.Container) {
	for i := range into {
		if len(into) == len(from) && from[i].Name == into[i].Name {
			into[i].Resources = from[i].Resources
		}
	}
}
