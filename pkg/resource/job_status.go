package resource

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Other controllers than the cluster's own may run a Job, and clients of Jobs rely on what a status can be. So a change to what
// makes no sense is refused; but what an older server has let in, and what follows only from a change of the spec that the
// controller has not seen yet, must not stand in the way of other changes. Most rules hold only if what they look at changes.

// jobChange is a change of a Job's status.
type jobChange struct {
	next, old *batchv1.Job
	path      *place
}

func validateJobStatusUpdate(next, old *batchv1.Job) field.ErrorList {
	c := jobChange{next, old, atStatus}
	return join(validateMetaUpdate(next, old), c.amounts(), c.ends(), c.finished(), c.indexes(), c.criteria(), c.steps())
}

func jobFinished(j *batchv1.Job) bool {
	return jobIs(j, batchv1.JobComplete) || jobIs(j, batchv1.JobFailed)
}

// turned is whether one of the conditions has become true, or is no longer.
func (c jobChange) turned(types ...batchv1.JobConditionType) bool {
	for _, t := range types {
		if jobIs(c.next, t) != jobIs(c.old, t) {
			return true
		}
	}
	return false
}

// is whether all of the conditions are true now.
func (c jobChange) is(types ...batchv1.JobConditionType) bool {
	for _, t := range types {
		if !jobIs(c.next, t) {
			return false
		}
	}
	return true
}

func (c jobChange) wrongConditions(detail string) *field.Error {
	return invalidAt(c.path.Child("conditions"), field.OmitValueType{}, detail)
}

func (c jobChange) amounts() field.ErrorList {
	s := &c.next.Status
	errs := join(
		nonNegative(int64(s.Active), c.path.Child("active")),
		nonNegative(int64(s.Succeeded), c.path.Child("succeeded")),
		nonNegative(int64(s.Failed), c.path.Child("failed")),
		given(s.Ready, c.path.Child("ready"), counts[int32]),
		given(s.Terminating, c.path.Child("terminating"), counts[int32]),
	)
	if u := s.UncountedTerminatedPods; u != nil {
		path, seen := c.path.Child("uncountedTerminatedPods"), taken{}
		uid := func(k *types.UID, path *place) field.ErrorList {
			if *k == "" {
				return field.ErrorList{invalidAt(path, *k, "must not be empty")}
			}
			return when(!seen.claim(string(*k)), duplicateAt(path, *k))
		}
		errs = join(errs, each(u.Succeeded, path.Child("succeeded"), uid), each(u.Failed, path.Child("failed"), uid))
	}
	return errs
}

// ends is about how a Job can end, and when.
func (c jobChange) ends() field.ErrorList {
	const complete, failed, failing, met = batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet
	s := &c.next.Status
	began, ended := s.StartTime, s.CompletionTime
	at := c.path.Child("completionTime")
	timed := c.turned(complete) || !sameTime(ended, c.old.Status.CompletionTime)
	return join(
		when(c.turned(complete, failed) && c.is(complete, failed), c.wrongConditions("cannot set Complete=True and Failed=true conditions")),
		when(c.turned(complete, failing) && c.is(complete, failing), c.wrongConditions("cannot set Complete=True and FailureTarget=true conditions")),
		when(timed && ended != nil && !c.is(complete), invalidAt(at, ended, "cannot set completionTime when there is no Complete=True condition")),
		when(timed && ended == nil && c.is(complete), requiredAt(at, "completionTime is required for Complete jobs")),
		when((!sameTime(began, c.old.Status.StartTime) || !sameTime(ended, c.old.Status.CompletionTime)) && began != nil && ended != nil && ended.Before(began),
			invalidAt(at, ended, "must be equal to or after `startTime`")),
		when((c.turned(failed) || c.failedIndexesChanged()) && c.is(failed) && !c.is(failing),
			c.wrongConditions("cannot set Failed=True condition without the FailureTarget=true condition")),
		when(c.turned(complete, met) && c.is(complete) && !c.is(met),
			c.wrongConditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")),
	)
}

func sameTime(a, b *metav1.Time) bool { return a == b || a != nil && b != nil && a.Equal(b) }

// finished is about what there can be no more of once a Job has ended.
func (c jobChange) finished() field.ErrorList {
	now, was := &c.next.Status, &c.old.Status
	if !jobFinished(c.next) {
		return nil
	}
	turned := !jobFinished(c.old)
	empty := isTrue(c.next.Spec.Suspend) && c.next.Spec.Completions != nil && *c.next.Spec.Completions == 0
	u := now.UncountedTerminatedPods
	return join(
		when((turned || now.Active != was.Active) && now.Active > 0,
			invalidAt(c.path.Child("active"), now.Active, "active>0 is invalid for finished job")),
		when((turned || !sameTime(now.StartTime, was.StartTime)) && !empty && now.StartTime == nil,
			requiredAt(c.path.Child("startTime"), "startTime is required for finished job")),
		when((turned || !same(u, was.UncountedTerminatedPods)) && u != nil && len(u.Failed)+len(u.Succeeded) > 0,
			invalidAt(c.path.Child("uncountedTerminatedPods"), bare(u), "must be empty for finished job")),
	)
}

func (c jobChange) failedIndexesChanged() bool {
	return !same(c.next.Status.FailedIndexes, c.old.Status.FailedIndexes)
}

// indexes is about the lists of those that have completed and failed.
func (c jobChange) indexes() field.ErrorList {
	spec, now, was := &c.next.Spec, &c.next.Status, &c.old.Status
	completed, failed := c.path.Child("completedIndexes"), c.path.Child("failedIndexes")
	completedChanged, failedChanged := now.CompletedIndexes != was.CompletedIndexes, c.failedIndexesChanged()
	var errs field.ErrorList
	if _, err := countIndexes(now.CompletedIndexes, count(spec.Completions)); completedChanged && spec.Completions != nil && err != nil {
		errs = append(errs, invalidAt(completed, now.CompletedIndexes, fmt.Sprintf("error parsing completedIndexes: %s", err)))
	}
	if list := now.FailedIndexes; failedChanged && list != nil && spec.Completions != nil && spec.BackoffLimitPerIndex != nil {
		if _, err := countIndexes(*list, *spec.Completions); err != nil {
			errs = append(errs, invalidAt(failed, list, fmt.Sprintf("error parsing failedIndexes: %s", err)))
		}
	}
	errs = append(errs, when(completedChanged && now.CompletedIndexes != "" && !isIndexed(spec),
		invalidAt(completed, now.CompletedIndexes, "cannot set non-empty completedIndexes when non-indexed completion mode"))...)
	if list := now.FailedIndexes; list != nil {
		errs = append(errs, when(failedChanged && spec.BackoffLimitPerIndex == nil,
			invalidAt(failed, *list, "cannot set non-null failedIndexes when backoffLimitPerIndex is null"))...)
		if err := overlap(now.CompletedIndexes, *list, count(spec.Completions)); err != nil && (failedChanged || completedChanged) {
			errs = append(errs, invalidAt(failed, *list, err.Error()))
		}
	}
	return errs
}

// criteria is about pods that are on their way, and about what a success policy decides.
func (c jobChange) criteria() field.ErrorList {
	const met, failed, failing = batchv1.JobSuccessCriteriaMet, batchv1.JobFailed, batchv1.JobFailureTarget
	now, was := &c.next.Status, &c.old.Status
	terminating := !same(now.Terminating, was.Terminating) || jobFinished(c.next) != jobFinished(c.old)
	active := !same(now.Ready, was.Ready) || now.Active != was.Active
	return join(
		when(terminating && jobFinished(c.next) && count(now.Terminating) > 0,
			invalidAt(c.path.Child("terminating"), now.Terminating, "terminating>0 is invalid for finished job")),
		when(active && now.Ready != nil && *now.Ready > now.Active, invalidAt(c.path.Child("ready"), count(now.Ready), "cannot set more ready pods than active")),
		when(c.is(met, failed), c.wrongConditions("cannot set SuccessCriteriaMet=True and Failed=true conditions")),
		when(c.is(met, failing), c.wrongConditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")),
		when(c.next.Spec.SuccessPolicy != nil && !c.is(met) && c.is(batchv1.JobComplete),
			c.wrongConditions("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")),
	)
}

// resumes is whether the Job is no longer suspended, as its conditions say.
func (c jobChange) resumes() bool {
	return jobIs(c.old, batchv1.JobSuspended) && slices.ContainsFunc(c.next.Status.Conditions, func(n batchv1.JobCondition) bool {
		return n.Type == batchv1.JobSuspended && n.Status == corev1.ConditionFalse
	})
}

// steps is about what can follow what.
func (c jobChange) steps() field.ErrorList {
	const complete, met = batchv1.JobComplete, batchv1.JobSuccessCriteriaMet
	now, was, spec := &c.next.Status, &c.old.Status, &c.next.Spec
	var errs field.ErrorList
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailed, complete, batchv1.JobFailureTarget} {
		errs = append(errs, when(jobIs(c.old, t) && !c.is(t), c.wrongConditions(fmt.Sprintf("cannot disable the terminal %s=True condition", t)))...)
	}
	shrinks := isIndexed(spec) && same(spec.Completions, spec.Parallelism)
	ended, began := now.CompletionTime, now.StartTime
	return join(errs,
		when(now.Failed < was.Failed, invalidAt(c.path.Child("failed"), now.Failed, "cannot decrease the failed counter")),
		when(!shrinks && now.Succeeded < was.Succeeded, invalidAt(c.path.Child("succeeded"), now.Succeeded, "cannot decrease the succeeded counter")),
		when(ended != nil && was.CompletionTime != nil && !sameTime(ended, was.CompletionTime),
			invalidAt(c.path.Child("completionTime"), ended, apivalidation.FieldImmutableErrorMsg)),
		when(was.StartTime != nil && !sameTime(began, was.StartTime) && !isTrue(spec.Suspend) && !c.resumes(),
			invalidAt(c.path.Child("startTime"), began, "field is immutable for unsuspended job once set")),
		when(jobIs(c.old, met) && !c.is(met), c.wrongConditions("cannot disable the SuccessCriteriaMet=True condition")),
		when(jobIs(c.old, complete) && !jobIs(c.old, met) && c.is(met),
			c.wrongConditions("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")),
	)
}
