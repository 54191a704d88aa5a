package resource

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func cronJobs() *Row {
	return Row{
		Resource: "cronjobs", Singular: "cronjob", Kind: "CronJob",
		ShortNames: []string{"cj"}, Categories: []string{"all"},
		Namespaced:          true,
		Versions:            []Version{servedAs[batchv1.CronJob, batchv1.CronJobList](batchv1.SchemeGroupVersion)},
		Prefix:              "cronjobs",
		Columns:             cronJobColumns(),
		UnconditionalUpdate: true,
	}.with(rules(Rules[*batchv1.CronJob]{
		Default: defaultCronJob,
		PrepareCreate: func(c *batchv1.CronJob) {
			c.Status = batchv1.CronJobStatus{}
			c.Generation = 1
			dropOffJob(&c.Spec.JobTemplate.Spec)
		},
		PrepareUpdate: func(next, old *batchv1.CronJob) {
			next.Status = *old.Status.DeepCopy()
			dropOffJob(&next.Spec.JobTemplate.Spec)
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate:       validateCronJob,
		ValidateUpdate: validateCronJobUpdate,
		Warnings:       cronJobWarnings,
		Cells:          cronJobCells,
		PrepareStatus: func(next, old *batchv1.CronJob) {
			next.Spec, next.Generation = *old.Spec.DeepCopy(), old.Generation
		},
		ValidateStatus: func(_, _ *batchv1.CronJob) field.ErrorList { return nil }, // a record of what was, with no rules
	}))
}

func defaultCronJob(c *batchv1.CronJob) {
	or(&c.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
	orPtr(&c.Spec.Suspend, false)
	orPtr(&c.Spec.SuccessfulJobsHistoryLimit, 3)
	orPtr(&c.Spec.FailedJobsHistoryLimit, 1)
	defaultJobTemplate(&c.Spec.JobTemplate.Spec)
}

func cronJobColumns() []metav1.TableColumnDefinition {
	spec, status := batchv1.CronJobSpec{}.SwaggerDoc(), batchv1.CronJobStatus{}.SwaggerDoc()
	suspend := column("Suspend", spec["suspend"])
	suspend.Type = "boolean"
	return append([]metav1.TableColumnDefinition{
		nameColumn,
		column("Schedule", spec["schedule"]),
		column("Timezone", spec["timeZone"]),
		suspend,
		integer(column("Active", status["active"])),
		column("Last Schedule", status["lastScheduleTime"]),
		ageColumn,
	}, templateColumns(batchv1.JobSpec{}.SwaggerDoc()["selector"])...)
}

func cronJobCells(c *batchv1.CronJob, now time.Time) []any {
	zone, last := "<none>", "<none>"
	if z := c.Spec.TimeZone; z != nil {
		zone = *z
	}
	if t := c.Status.LastScheduleTime; t != nil {
		last = since(*t, now)
	}
	job := &c.Spec.JobTemplate.Spec
	return append([]any{c.Name, c.Spec.Schedule, zone, boolText(c.Spec.Suspend), int64(len(c.Status.Active)), last, age(c, now)},
		templateCells(&job.Template, job.Selector)...)
}

// boolText is how upstream prints what may be unset, even in a column of booleans.
func boolText(b *bool) string {
	switch {
	case b == nil:
		return "<unset>"
	case *b:
		return "True"
	}
	return "False"
}
