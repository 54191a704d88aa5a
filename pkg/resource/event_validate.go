package resource

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The lengths that texts of an event may have.
const (
	maxEventWord = 128
	maxEventNote = 1024
)

// validateEvent holds for events however they come. Those with an eventTime are of the newer form, and have to say
// who reports what; older ones need hardly anything.
func validateEvent(e *corev1.Event) field.ErrorList {
	errs := anyFinalizers(e, true, path.ValidatePathSegmentName)
	if e.EventTime.IsZero() {
		errs = append(errs, olderEventNamespace(e)...)
	} else {
		errs = append(errs, newerEvent(e)...)
	}
	return append(errs, dnsSubdomain(e.Namespace, newPlace("namespace"))...)
}

func olderEventNamespace(e *corev1.Event) field.ErrorList {
	about := e.InvolvedObject.Namespace
	// Events about objects without a namespace are in the namespace default.
	agrees := about == e.Namespace || about == "" && e.Namespace == metav1.NamespaceDefault
	return when(!agrees, namespaceDiffers(about))
}

func namespaceDiffers(about string) *field.Error {
	return invalidAt(newPlace("involvedObject", "namespace"), about, "does not match event.namespace")
}

func newerEvent(e *corev1.Event) field.ErrorList {
	about := e.InvolvedObject.Namespace
	elsewhere := e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem
	return join(
		when(about == "" && elsewhere, namespaceDiffers(about)),
		eventWord(e.ReportingInstance, newPlace("reportingInstance")),
		eventWord(e.Action, newPlace("action")),
		eventWord(e.Reason, newPlace("reason")),
		atMostLong(e.Message, maxEventNote, newPlace("message")),
	)
}

// eventReporter is who reports an event of the newer form, which each version has its own name for.
func eventReporter(e *corev1.Event, name string) field.ErrorList {
	if e.EventTime.IsZero() {
		return nil
	}
	return join(present(e.ReportingController, newPlace(name)), qualifiedName(e.ReportingController, newPlace(name)))
}

func eventWord(s string, path *place) field.ErrorList {
	return join(present(s, path), atMostLong(s, maxEventWord, path))
}

func atMostLong(s string, limit int, path *place) field.ErrorList {
	return when(len(s) > limit, invalidAt(path, "", fmt.Sprintf("can have at most %v characters", limit)))
}

// validateNewerEvent adds what holds for creation through events.k8s.io/v1.
func validateNewerEvent(e *corev1.Event) field.ErrorList {
	unset := func(set bool, name string) field.ErrorList {
		return when(set, invalidAt(newPlace(name), "", "needs to be unset"))
	}
	return join(
		validateMeta(e, true, subdomainName),
		validateSeries(e.Series),
		when(e.EventTime.IsZero(), requiredAt(newPlace("eventTime"), "")),
		when(e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning,
			invalidAt(newPlace("type"), "", fmt.Sprintf("has invalid value: %v", e.Type))),
		unset(!e.FirstTimestamp.IsZero(), "firstTimestamp"),
		unset(!e.LastTimestamp.IsZero(), "lastTimestamp"),
		unset(e.Count != 0, "count"),
		unset(e.Source.Component != "" || e.Source.Host != "", "source"),
	)
}

func validateSeries(s *corev1.EventSeries) field.ErrorList {
	if s == nil {
		return nil
	}
	return join(
		when(s.Count < 2, invalidAt(newPlace("series.count"), "", "should be at least 2")),
		when(s.LastObservedTime.IsZero(), requiredAt(newPlace("series.lastObservedTime"), "")),
	)
}

// validateNewerEventUpdate adds what holds for updates through events.k8s.io/v1: only the series may change.
func validateNewerEventUpdate(next, old *corev1.Event) field.ErrorList {
	errs := validateMetaUpdate(next, old)
	if !same(next.Series, old.Series) {
		errs = append(errs, validateSeries(next.Series)...)
	}
	for _, f := range []struct {
		name      string
		next, old any
	}{
		{"involvedObject", next.InvolvedObject, old.InvolvedObject},
		{"reason", next.Reason, old.Reason},
		{"message", next.Message, old.Message},
		{"source", next.Source, old.Source},
		{"firstTimestamp", next.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", next.LastTimestamp, old.LastTimestamp},
		{"count", next.Count, old.Count},
		{"type", next.Type, old.Type},
		{"eventTime", next.EventTime, old.EventTime},
		{"action", next.Action, old.Action},
		{"related", next.Related, old.Related},
		{"reportingController", next.ReportingController, old.ReportingController},
		{"reportingInstance", next.ReportingInstance, old.ReportingInstance},
	} {
		show := bareImmutable
		if _, ok := f.next.(string); ok {
			show = immutable
		}
		errs = append(errs, show(f.next, f.old, newPlace(f.name))...)
	}
	return errs
}
