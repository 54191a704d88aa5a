package resource

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// The labels by which a Job knows its pods had no domain at first. Both forms are set, as users select by either.
const (
	oldJobNameLabel       = "job-name"
	oldControllerUIDLabel = "controller-uid"
)

func jobs() *Row {
	return Row{
		Resource: "jobs", Singular: "job", Kind: "Job",
		Categories: []string{"all"},
		Namespaced: true,
		Versions:   []Version{servedAs[batchv1.Job, batchv1.JobList](batchv1.SchemeGroupVersion)},
		Prefix:     "jobs",
		Columns:    jobColumns(),
		// Whoever deletes a Job and says no more keeps its pods: so it was in the first version, and so it stayed.
		DefaultsToOrphan: true,
		OrphanWarning: "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them " +
			"or set propagationPolicy=Orphan to suppress this warning",
		UnconditionalUpdate: true,
	}.with(rules(Rules[*batchv1.Job]{
		Default:        defaultJob,
		PrepareCreate:  prepareJobCreate,
		PrepareUpdate:  prepareJobUpdate,
		Validate:       validateJobCreate,
		ValidateUpdate: validateJobUpdate,
		Warnings:       jobWarnings,
		Fields: func(j *batchv1.Job) map[string]string {
			return map[string]string{"status.successful": strconv.Itoa(int(j.Status.Succeeded))}
		},
		Cells:          jobCells,
		PrepareStatus:  prepareJobStatus,
		ValidateStatus: validateJobStatusUpdate,
	}))
}

func defaultJob(j *batchv1.Job) {
	s := &j.Spec
	if s.Completions == nil && s.Parallelism == nil {
		orPtr(&s.Completions, 1)
	}
	orPtr(&s.Parallelism, 1)
	if s.BackoffLimitPerIndex != nil {
		orPtr(&s.BackoffLimit, math.MaxInt32)
	}
	orPtr(&s.BackoffLimit, 6)
	orPtr(&s.CompletionMode, batchv1.NonIndexedCompletion)
	orPtr(&s.Suspend, false)
	orPtr(&s.ManualSelector, false)
	if s.PodFailurePolicy != nil {
		orPtr(&s.PodReplacementPolicy, batchv1.Failed)
	}
	orPtr(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	defaultJobTemplate(s)
}

// defaultJobTemplate is what a Job and the Jobs of a CronJob have in common.
func defaultJobTemplate(s *batchv1.JobSpec) {
	if s.PodFailurePolicy != nil {
		noneIfEmpty(&s.PodFailurePolicy.Rules)
		for _, r := range s.PodFailurePolicy.Rules {
			for i := range r.OnPodConditions {
				or(&r.OnPodConditions[i].Status, corev1.ConditionTrue)
			}
		}
	}
	defaultPodTemplate(&s.Template)
}

func prepareJobCreate(j *batchv1.Job) {
	if !isTrue(j.Spec.ManualSelector) {
		generateJobSelector(j)
	}
	j.Status = batchv1.JobStatus{}
	j.Generation = 1
	dropOffJob(&j.Spec)
	labelAsPods(j)
}

// generateJobSelector labels the pods with their Job, and selects them by it. Labels that the client has given stay: if they
// say something else, validation refuses them.
func generateJobSelector(j *batchv1.Job) {
	t := &j.Spec.Template
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	for _, l := range jobLabels(j) {
		if _, given := t.Labels[l.key]; !given {
			t.Labels[l.key] = l.value
		}
	}
	orPtr(&j.Spec.Selector, metav1.LabelSelector{})
	if j.Spec.Selector.MatchLabels == nil {
		j.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, given := j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !given {
		j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
}

type label struct{ key, value string }

// jobLabels are those of a Job's pods.
func jobLabels(j *batchv1.Job) []label {
	return []label{
		{oldControllerUIDLabel, string(j.UID)}, {oldJobNameLabel, j.Name},
		{batchv1.ControllerUidLabel, string(j.UID)}, {batchv1.JobNameLabel, j.Name},
	}
}

// labelAsPods gives a Job without labels those of its pods.
func labelAsPods(j *batchv1.Job) {
	if len(j.Labels) == 0 {
		j.Labels = maps.Clone(j.Spec.Template.Labels)
	}
}

// dropOffJob drops what the gate WorkloadWithJob, off in v1.37, is for.
func dropOffJob(s *batchv1.JobSpec) {
	s.Scheduling = nil
	dropOffFields(&s.Template.Spec)
}

func prepareJobUpdate(next, old *batchv1.Job) {
	next.Status = *old.Status.DeepCopy()
	dropOffJob(&next.Spec)
	labelAsPods(next)
	raiseGeneration(next, old, !same(next.Spec, old.Spec))
}

func prepareJobStatus(next, old *batchv1.Job) {
	next.Spec = *old.Spec.DeepCopy()
	next.Generation = old.Generation
	labelAsPods(next)
}

func jobColumns() []metav1.TableColumnDefinition {
	return append([]metav1.TableColumnDefinition{
		nameColumn,
		column("Status", "Status of the job."),
		column("Completions", batchv1.JobStatus{}.SwaggerDoc()["succeeded"]),
		column("Duration", "Time required to complete the job."),
		ageColumn,
	}, templateColumns(batchv1.JobSpec{}.SwaggerDoc()["selector"])...)
}

func jobCells(j *batchv1.Job, now time.Time) []any {
	return append([]any{j.Name, jobState(j), jobCompletions(j), jobDuration(j, now), age(j, now)},
		templateCells(&j.Spec.Template, j.Spec.Selector)...)
}

func jobState(j *batchv1.Job) string {
	switch {
	case jobIs(j, batchv1.JobComplete):
		return "Complete"
	case jobIs(j, batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case jobIs(j, batchv1.JobSuspended):
		return "Suspended"
	case jobIs(j, batchv1.JobFailureTarget):
		return "FailureTarget"
	case jobIs(j, batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

// jobIs is whether a condition of the Job is true.
func jobIs(j *batchv1.Job, t batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func jobCompletions(j *batchv1.Job) string {
	switch parallel := count(j.Spec.Parallelism); {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	case parallel > 1:
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, parallel)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

func jobDuration(j *batchv1.Job, now time.Time) string {
	begin, end := j.Status.StartTime, j.Status.CompletionTime
	switch {
	case begin == nil:
		return ""
	case end == nil:
		return duration.HumanDuration(now.Sub(begin.Time))
	}
	return duration.HumanDuration(end.Sub(begin.Time))
}

func jobWarnings(next, old *batchv1.Job) []string {
	if old != nil && next.Generation == old.Generation {
		return nil
	}
	var all []string
	if old == nil {
		all = nameWarnings(next.Name, "Pod names and hostnames")
	}
	return append(all, jobSpecWarnings(&next.Spec, newPlace("spec"))...)
}

func jobSpecWarnings(s *batchv1.JobSpec, path *place) []string {
	var w warnings
	w.addIf(isIndexed(s) && count(s.Completions) > manyCompletions && count(s.Parallelism) > fewAtOnce, path,
		"In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "+
			"Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	return append(w.all, podTemplateWarnings(&s.Template, path.Child("template"))...)
}
