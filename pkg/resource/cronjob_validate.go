package resource

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the zones that there are do not depend on the machine

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// longestCronJob is the length of a name to which a Job adds the time, 11 characters, within 63.
const longestCronJob = 52

func validateCronJob(c *batchv1.CronJob) field.ErrorList {
	return join(
		validateMeta(c, true, subdomainName),
		validateCronJobSpec(&c.Spec, nil, atSpec),
		when(len(c.Name) > longestCronJob, invalidAt(atMetadata.Child("name"), c.Name, fmt.Sprintf("must be no more than %d characters", longestCronJob))),
	)
}

func validateCronJobUpdate(next, old *batchv1.CronJob) field.ErrorList {
	return append(validateMetaUpdate(next, old), validateCronJobSpec(&next.Spec, &old.Spec, atSpec)...)
}

// validateCronJobSpec validates s, which replaces old if that is not nil.
func validateCronJobSpec(s, old *batchv1.CronJobSpec, path *place) field.ErrorList {
	job := path.Child("jobTemplate", "spec")
	errs := join(
		validateSchedule(s, old != nil && strings.Contains(old.Schedule, "TZ"), path.Child("schedule")),
		given(s.StartingDeadlineSeconds, path.Child("startingDeadlineSeconds"), counts[int64]),
	)
	if old == nil || !same(old.TimeZone, s.TimeZone) {
		errs = append(errs, given(s.TimeZone, path.Child("timeZone"), validateTimeZone)...)
	}
	template := &s.JobTemplate.Spec
	return join(errs,
		presentOneOf(s.ConcurrencyPolicy, path.Child("concurrencyPolicy"), batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent),
		validateJobSpec(template, job),
		when(template.Selector != nil, invalidAt(job.Child("selector"), template.Selector, "`selector` will be auto-generated")),
		when(isTrue(template.ManualSelector), notSupportedAt(job.Child("manualSelector"), template.ManualSelector, []string{"nil", "false"})),
		given(s.SuccessfulJobsHistoryLimit, path.Child("successfulJobsHistoryLimit"), counts[int32]),
		given(s.FailedJobsHistoryLimit, path.Child("failedJobsHistoryLimit"), counts[int32]),
	)
}

// validateSchedule wants a crontab line. A zone in it works by accident, and only those who have one may keep it.
func validateSchedule(s *batchv1.CronJobSpec, hadZone bool, path *place) field.ErrorList {
	if s.Schedule == "" {
		return declared(field.ErrorList{requiredAt(path, "")})
	}
	var errs field.ErrorList
	if _, err := cron.ParseStandard(s.Schedule); err != nil {
		errs = append(errs, invalidAt(path, s.Schedule, err.Error()))
	}
	zoned := strings.Contains(s.Schedule, "TZ")
	return join(errs,
		when(zoned && hadZone && s.TimeZone != nil, invalidAt(path, s.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")),
		when(zoned && !hadZone, invalidAt(path, s.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")),
	)
}

// validateTimeZone wants the name of a zone in the tz database. Names are looked up as files, so what could be a path to
// somewhere else is refused first.
func validateTimeZone(name *string, path *place) field.ErrorList {
	if *name == "" {
		return field.ErrorList{invalidAt(path, name, "timeZone must be nil or non-empty string")}
	}
	for part := range strings.SplitSeq(*name, "/") {
		if !isZonePart(part) {
			return field.ErrorList{invalidAt(path, name, "unknown time zone "+*name)}
		}
	}
	errs := when(strings.EqualFold(*name, "Local"), invalidAt(path, name,
		"timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	if _, err := time.LoadLocation(*name); err != nil {
		errs = append(errs, invalidAt(path, name, err.Error()))
	}
	return errs
}

func isZonePart(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && !strings.ContainsRune(".-_+", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 14 && s != "." && s != ".." && s[0] != '-'
}

func cronJobWarnings(next, old *batchv1.CronJob) []string {
	var all []string
	if old == nil {
		all = nameWarnings(next.Name, "Pod names and hostnames")
	}
	if old == nil || next.Generation != old.Generation {
		all = append(all, jobSpecWarnings(&next.Spec.JobTemplate.Spec, newPlace("spec", "jobTemplate", "spec"))...)
	}
	if old != nil && strings.Contains(next.Spec.Schedule, "TZ") {
		all = append(all, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "+ // with that path, as upstream
			"https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
	}
	return all
}
